"use strict";
// What is planned at given multipliers: values, bounds, ratios, by the same estimates as mopo_pipeline.mopo.estimator.

const LEAST = 1e-280;
const SECOND_ORDER = 16;
const SECOND_SHARE = 2 / 3;

const KINDS = { uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array };

function unpacked(packed) {
  const raw = atob(packed.data), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return new KINDS[packed.kind](bytes.buffer);
}

function sharesOf(packed) {
  const mass = Float64Array.from(unpacked(packed)), total = mass.reduce((a, b) => a + b, 0);
  return mass.map((value) => value / total);
}

// The problem as arrays: rows lie prompt by prompt, prompts weigh alike, and so do the rows of one.
function unpackProblem(packed) {
  const counts = unpacked(packed.counts), starts = new Int32Array(counts.length);
  for (let g = 1; g < counts.length; g += 1) starts[g] = starts[g - 1] + counts[g - 1];
  const promptOf = new Int32Array(packed.rows);
  counts.forEach((count, g) => promptOf.fill(g, starts[g], starts[g] + count));
  const drawn = unpacked(packed.drawn), mass = Float64Array.from(promptOf, (g) => 1 / (counts.length * counts[g]));
  const terms = packed.terms.map((term) => term && Object.fromEntries(
    Object.entries(term).map(([name, value]) => [name, { radius: (given) => given, mass: sharesOf }[name]?.(value) ?? unpacked(value)])));
  terms.forEach((term) => { if (term?.annotator) term.tastes = tastesOf(term, promptOf, drawn); });
  return {
    ...packed, counts, starts, promptOf, mass, drawn, terms, base: packed.base.map(unpacked), folds: packed.folds.map((fold) => fold.map(unpacked)),
    pooling: packed.pooling === "infinite" ? Infinity : packed.pooling,
  };
}

// Codes of who labelled each comparison and of who labelled which prompt, -1 unknown, and how sure as many annotators can make.
function tastesOf(term, promptOf, drawn) {
  const coded = (keys) => {
    const seen = new Map();
    return { codes: keys.map((key) => (key == null ? -1 : seen.get(key) ?? (seen.set(key, seen.size), seen.size - 1))), count: seen.size };
  };
  const known = Array.from(term.annotator, (who) => (who < 0 ? null : who)), units = Array.from(term.first, (row) => drawn[promptOf[row]]);
  const isSingle = new Set(units).size < 2;
  const who = coded(known), both = coded(known.map((one, c) => (one == null ? null : `${isSingle ? c : units[c]} ${one}`)));
  const weight = new Float64Array(who.count);
  who.codes.forEach((code, c) => { if (code >= 0) weight[code] += term.mass[c]; });
  const total = weight.reduce((a, b) => a + b, 0);
  return { who, both, freedom: Math.max(total * total / weighted(weight, weight) - 1, 1) };
}

// What annotators add to the variance of a mean (mopo_pipeline.mopo.annotators).
function addedByAnnotators(tastes, moved) {
  if (!tastes || tastes.who.count < 2) return 0;
  const varianceOver = ({ codes, count }) => {
    const sums = new Float64Array(count);
    codes.forEach((code, c) => { if (code >= 0) sums[code] += moved[c]; });
    return weighted(sums, sums) * count / Math.max(count - 1, 1);
  };
  return Math.max(varianceOver(tastes.who) - varianceOver(tastes.both), 0);
}

function exponents(problem, columns, direction) {
  const made = new Float64Array(problem.rows);
  columns.forEach((column, k) => {
    const strength = direction[k] / problem.tau;
    for (let i = 0; i < made.length; i += 1) made[i] += strength * column[i];
  });
  return made;
}

// Target over reference, of mean 1 in each prompt.
function perPrompt(problem, exponent) {
  const made = new Float64Array(problem.rows);
  problem.starts.forEach((start, g) => {
    const end = start + problem.counts[g];
    let peak = -Infinity, total = 0;
    for (let i = start; i < end; i += 1) peak = Math.max(peak, exponent[i]);
    for (let i = start; i < end; i += 1) total += made[i] = Math.exp(exponent[i] - peak);
    for (let i = start; i < end; i += 1) made[i] *= problem.counts[g] / total;
  });
  return made;
}

function sumsWithoutOne(parts, total, top) {
  const inverse = parts.map((part) => 1 / (total - part));
  inverse[top] = 1 / parts.reduce((sum, part, j) => (j === top ? sum : sum + part), 0);
  const sum = inverse.reduce((a, b) => a + b, 0);
  return inverse.map((own, i) => (i === top ? inverse.reduce((a, b, j) => (j === top ? a : a + b), 0) : sum - own));
}

// For each response: sum over pairs of the others of one over the total without the pair.
function sumsWithoutTwo(parts, total, top, second) {
  const n = parts.length, without = (...left) => parts.reduce((sum, part, j) => (left.includes(j) ? sum : sum + part), 0);
  const inverse = parts.map((a, j) => parts.map((b, l) => {
    if (j === l) return 0;
    return 1 / (j === top || l === top || j === second || l === second ? without(j, l) : total - a - b);
  }));
  return parts.map((_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j += 1) for (let l = j + 1; l < n; l += 1) if (j !== i && l !== i) sum += inverse[j][l];
    return sum;
  });
}

// What each response counts for in its prompt, the ratio's bias removed by the jackknife (mopo_pipeline.mopo.learned).
function jackknifed(own) {
  const n = own.length;
  if (n === 1) return [1];
  const peak = Math.max(...own), parts = own.map((value) => Math.max(Math.exp(value - peak), LEAST));
  const total = parts.reduce((a, b) => a + b, 0), top = parts.indexOf(Math.max(...parts));
  const one = sumsWithoutOne(parts, total, top);
  const first = parts.map((part, i) => part / total * n - (n - 1) * part * one[i] / n);
  if (n === 2 || n > SECOND_ORDER) return first;
  const others = parts.map((part, j) => (j === top ? 0 : part)), second = others.indexOf(Math.max(...others));
  const two = sumsWithoutTwo(parts, total, top, second);
  return parts.map((part, i) => {
    const later = 0.5 * (n * n * part / total - 2 * (n - 1) ** 2 * part * one[i] / n + (n - 2) ** 2 * part * two[i] / (0.5 * n * (n - 1)));
    return first[i] + SECOND_SHARE * (later - first[i]);
  });
}

// Shares times the prompt's rows: what counts as the ratio in estimates.
function estimatedRatio(problem, exponent) {
  if (!problem.sampled) return perPrompt(problem, exponent);
  const made = new Float64Array(problem.rows);
  problem.starts.forEach((start, g) => {
    const shares = jackknifed(Array.from(exponent.subarray(start, start + problem.counts[g])));
    shares.forEach((share, i) => { made[start + i] = share * problem.counts[g]; });
  });
  return made;
}

function promptValues(problem, ratio, column) {
  const made = new Float64Array(problem.starts.length);
  for (let i = 0; i < problem.rows; i += 1) made[problem.promptOf[i]] += ratio[i] * column[i];
  return made.map((sum, g) => sum / problem.counts[g]);
}

function promptMean(problem, values) {
  return values.reduce((sum, value) => sum + value, 0) / problem.counts.length;
}

function foldMeans(term, values, folds) {
  const sums = new Float64Array(folds), masses = new Float64Array(folds), { fold, mass } = term;
  for (let c = 0; c < values.length; c += 1) { sums[fold[c]] += mass[c] * values[c]; masses[fold[c]] += mass[c]; }
  return sums.map((sum, j) => sum / Math.max(masses[j], 1e-300));
}

function weighted(mass, values) {
  let sum = 0;
  for (let c = 0; c < values.length; c += 1) sum += mass[c] * values[c];
  return sum;
}

// Mean and lower bound of one objective over its comparisons, from each fold's ratios and prompt values.
function overComparisons(problem, term, ratios, own, isBounded) {
  const { promptOf, counts, drawn } = problem, { first, second, left, right, mass, fold, beside } = term, size = first.length;
  const correction = new Float64Array(size), spread = new Float64Array(size), pull = new Float64Array(counts.length);
  for (let c = 0; c < size; c += 1) {
    const ratio = ratios[fold[c]];
    correction[c] = left[c] * ratio[first[c]] + right[c] * ratio[second[c]];
  }
  if (problem.sampled) {
    for (let c = 0; c < size; c += 1) spread[c] = own[fold[c]][promptOf[first[c]]];
    for (let c = 0; c < size; c += 1) if (!beside[c]) correction[c] -= spread[c];
  }
  const values = own.map((column) => promptMean(problem, column)), means = foldMeans(term, spread, own.length);
  const terms = problem.sampled ? correction.map((value, c) => value + spread[c] + values[fold[c]] - means[fold[c]]) : correction;
  const mean = weighted(mass, terms);
  if (!isBounded) return { mean, bound: mean };
  const centre = foldMeans(term, correction, own.length);
  if (problem.sampled) {
    own.forEach((column, j) => column.forEach((value, g) => { pull[drawn[g]] += (value - values[j]) / counts.length / own.length; }));
  }
  const shifts = correction.map((value, c) => mass[c] * (value - centre[fold[c]]));
  for (let c = 0; c < size; c += 1) pull[drawn[promptOf[first[c]]]] += shifts[c];
  const spreadOut = terms.map((value) => value - mean);
  const radius = term.radius.fixed ?? (term.radius.quantiles ? radiusOver(term, spreadOut, pull, shifts)
    : term.radius.scale / effectiveComparisons(term, spreadOut, pull));
  return { mean, bound: boundOf(spreadOut, mass, mean, radius) };
}

function effectiveComparisons(term, deviations, pull) {
  const independent = 1 / weighted(term.mass, term.mass), moved = pull.filter((value) => value !== 0);
  if (moved.length < 2) return independent;
  const variance = weighted(moved, moved) * moved.length / (moved.length - 1);
  const single = weighted(term.mass, deviations.map((value) => value * value));
  if (variance <= 1e-300 || single <= 1e-300) return independent;
  return Math.min(single / variance, independent);
}

// The same radius where annotators differ in taste: more prompts narrow what prompts vary by, not what annotators do.
function radiusOver(term, deviations, pull, shifts) {
  const { share, freedom, quantiles } = term.radius, independent = 1 / weighted(term.mass, term.mass) / share;
  const single = weighted(term.mass, deviations.map((value) => value * value)), moved = pull.filter((value) => value !== 0);
  const variance = moved.length < 2 ? single / independent : share * weighted(moved, moved) * moved.length / (moved.length - 1);
  const added = addedByAnnotators(term.tastes, shifts), all = variance + added;
  const count = all <= 1e-300 || single <= 1e-300 ? independent : Math.min(single / all, independent);
  const inverse = (freedom == null ? 0 : variance ** 2 / freedom) + (added > 0 ? added ** 2 / term.tastes.freedom : 0);
  const place = (all > 0 ? inverse / all ** 2 : freedom == null ? 0 : 1 / freedom) * (quantiles.length - 1);
  const below = Math.min(Math.floor(place), quantiles.length - 2), beyond = place - below;
  return ((1 - beyond) * quantiles[below] + beyond * quantiles[below + 1]) ** 2 / 2 / count;
}

// The least mean within a KL ball (eq. 4) of deviations from a mean: Newton for the inverse temperature, inside a bracket.
function boundOf(spread, mass, mean, radius) {
  const deviation = Math.sqrt(weighted(mass, spread.map((value) => value * value)));
  if (radius === 0 || deviation <= 1e-15 * Math.max(1, Math.abs(mean))) return mean;
  let least = Infinity, lowest = 0;
  for (let c = 0; c < spread.length; c += 1) if (mass[c] > 0 && spread[c] < least) least = spread[c];
  for (let c = 0; c < spread.length; c += 1) if (spread[c] <= least + 1e-12 * deviation) lowest += mass[c];
  if (radius >= -Math.log(lowest)) return mean + least;
  const target = Math.sqrt(2 * radius);
  let low = 0, high = Infinity, inverse = target / deviation, tilt = null;
  for (let step = 0; step < 200; step += 1) {
    tilt = tilted(spread, mass, inverse, least);
    const root = Math.sqrt(Math.max(2 * tilt.divergence, 0)), error = root - target;
    if (Math.abs(error) <= 1e-11 * target) break;
    if (error < 0) low = inverse; else high = inverse;
    let next = tilt.variance > 0 ? inverse - error * root / (inverse * tilt.variance) : -Infinity;
    if (!(low < next && next < high)) next = Number.isFinite(high) ? 0.5 * (low + high) : 2 * inverse;
    if (Math.abs(next - inverse) <= 1e-15 * inverse) break;
    inverse = next;
  }
  return mean + Math.max(least, tilt.mean);
}

// Mean, variance and KL of the worst case at one inverse temperature.
function tilted(spread, mass, inverse, least) {
  const peak = -inverse * least;
  let total = 0, mean = 0, square = 0;
  for (let c = 0; c < spread.length; c += 1) {
    const away = spread[c], weight = mass[c] * Math.exp(-inverse * away - peak);
    total += weight; mean += weight * away; square += weight * away * away;
  }
  mean /= total;
  return { mean, variance: square / total - mean * mean, divergence: -inverse * mean - peak - Math.log(total) };
}

// Values of all objectives and bounds of the constrained ones at multipliers of the latter.
function estimate(problem, multipliers) {
  const direction = [1, ...multipliers];
  const ratios = problem.folds.map((columns) => estimatedRatio(problem, exponents(problem, columns, direction)));
  const own = problem.names.map((_, k) => problem.folds.map((columns, j) => promptValues(problem, ratios[j], columns[k])));
  const values = own.map((folds) => folds.reduce((sum, fold) => sum + promptMean(problem, fold), 0) / folds.length);
  const bounds = values.slice();
  problem.terms.forEach((term, k) => {
    if (!term) return;
    const found = overComparisons(problem, term, ratios, own[k], k > 0);
    bounds[k] = found.bound;
    if (problem.sampled) values[k] = found.mean;
  });
  return { values, bounds: bounds.slice(1) };
}
