"use strict";
// The smallest multipliers whose bounds meet thresholds, as mopo_pipeline.mopo.solvers.complementarity finds them.

const SOLVED = 1e-9;
const SHORTEST = 1 / 128;
const GRID = [0, ...Array.from({ length: 42 }, (_, i) => 0.02 * 10000 ** (i / 41))];

function boundsOf(problem) {
  const seen = new Map();
  return (point) => {
    const key = point.join();
    if (!seen.has(key)) seen.set(key, estimate(problem, point).bounds);
    return seen.get(key);
  };
}

function slopeAt(bounds, point) {
  const here = bounds(point), size = point.length;
  const made = here.map(() => new Array(size).fill(0));
  for (let k = 0; k < size; k += 1) {
    const moved = point.slice();
    moved[k] += 1e-5 * (1 + point[k]);
    bounds(moved).forEach((value, j) => { made[j][k] = (value - here[j]) / (moved[k] - point[k]); });
  }
  return made;
}

function residualOf(bounds, point, asked) {
  return Math.max(0, ...bounds(point).map((value, k) => Math.abs(Math.min(point[k], value - asked[k]))));
}

// Gaussian elimination with row exchanges; null where the matrix is singular.
function solveLinear(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]), n = rows.length;
  for (let i = 0; i < n; i += 1) {
    let best = i;
    for (let j = i + 1; j < n; j += 1) if (Math.abs(rows[j][i]) > Math.abs(rows[best][i])) best = j;
    [rows[i], rows[best]] = [rows[best], rows[i]];
    if (rows[i][i] === 0) return null;
    for (let j = i + 1; j < n; j += 1) {
      const factor = rows[j][i] / rows[i][i];
      for (let l = i; l <= n; l += 1) rows[j][l] -= factor * rows[i][l];
    }
  }
  const made = new Array(n).fill(0);
  for (let i = n - 1; i >= 0; i -= 1) {
    made[i] = (rows[i][n] - made.reduce((sum, value, l) => (l > i ? sum + rows[i][l] * value : sum), 0)) / rows[i][i];
  }
  return made;
}

// The smallest solution of the conditions made linear, over all sets of active thresholds.
function linearComplementarity(point, excess, slope) {
  let best = null;
  const size = point.length, sum = (values) => values.reduce((a, b) => a + b, 0);
  for (let chosen = 0; chosen < 2 ** size; chosen += 1) {
    const active = point.map((_, k) => k).filter((k) => chosen & (1 << k));
    const idle = point.map((_, k) => k).filter((k) => !(chosen & (1 << k)));
    const right = active.map((j) => excess[j] - sum(idle.map((k) => slope[j][k] * point[k])));
    const step = active.length ? solveLinear(active.map((j) => active.map((k) => slope[j][k])), right) : [];
    if (step == null) continue;
    const candidate = point.map(() => 0);
    active.forEach((k, at) => { candidate[k] = point[k] - step[at]; });
    const left = (j) => excess[j] + sum(candidate.map((value, k) => slope[j][k] * (value - point[k])));
    const valid = candidate.every((value) => value >= 0) && idle.every((j) => left(j) >= -1e-12);
    if (valid && (best == null || sum(candidate) < sum(best))) best = candidate;
  }
  return best;
}

function newton(bounds, asked, start, steps = 15) {
  let point = start.slice(), residual = residualOf(bounds, point, asked);
  for (let step = 0; step < steps; step += 1) {
    if (residual <= SOLVED) return point;
    const excess = bounds(point).map((value, k) => value - asked[k]);
    const target = linearComplementarity(point, excess, slopeAt(bounds, point));
    if (target == null) return null;
    const way = target.map((value, k) => value - point[k]);
    const cap = Math.max(1, 2 * Math.max(...point.map(Math.abs)));
    let length = Math.min(1, cap / Math.max(...way.map(Math.abs), 1e-300)), better = null;
    for (let half = 0; half < 6 && better == null; half += 1, length *= 0.5) {
      const trial = point.map((value, k) => Math.max(value + length * way[k], 0));
      if (residualOf(bounds, trial, asked) < residual) better = trial;
    }
    if (better == null) return null;
    point = better;
    residual = residualOf(bounds, point, asked);
  }
  return null;
}

// Along the way from what the reference reaches to what is asked: where it ends, and the multipliers there.
function follow(bounds, asked) {
  const zero = asked.map(() => 0), reached = bounds(zero);
  const gap = asked.map((threshold, k) => Math.max(threshold - reached[k], 0));
  const path = [[0, zero]];
  let step = 0.25;
  while (path.at(-1)[0] < 1) {
    const [place, point] = path.at(-1), goal = Math.min(1, place + step);
    const ahead = path.length === 1 ? point : point.map((value, k) =>
      Math.max(value + (value - path.at(-2)[1][k]) * (goal - place) / (place - path.at(-2)[0]), 0));
    const found = newton(bounds, asked.map((threshold, k) => threshold - (1 - goal) * gap[k]), ahead);
    const far = found == null || Math.max(...found.map((value, k) => Math.abs(value - point[k]))) > 1 + 2 * Math.max(...point);
    if (far) {
      step /= 2;
      if (step < SHORTEST) return { point, nearest: asked.map((threshold, k) => threshold - (1 - place) * gap[k]), whole: false };
      continue;
    }
    path.push([goal, found]);
    step = Math.min(2 * step, 0.5);
  }
  return { point: path.at(-1)[1], nearest: asked, whole: true };
}

// One threshold: the first crossing of its bound, by halving; bounds turn back where the ratio concentrates.
function firstCrossing(bounds, asked) {
  const excess = (value) => bounds([value])[0] - asked[0];
  for (let at = 1; at < GRID.length; at += 1) {
    if (excess(GRID[at]) < 0) continue;
    let low = GRID[at - 1], high = GRID[at];
    for (let step = 0; step < 60 && high - low > 1e-13 * (1 + high); step += 1) {
      const middle = 0.5 * (low + high);
      if (excess(middle) < 0) low = middle; else high = middle;
    }
    return { point: [high], nearest: asked, whole: true };
  }
  const best = GRID.reduce((a, b) => (excess(b) > excess(a) ? b : a));
  return { point: [best], nearest: [asked[0] + excess(best)], whole: false };
}

// Multipliers for thresholds: near a solution from there, else from the reference.
// ``whole`` says whether all are met; ``nearest`` are thresholds that are.
function solveThresholds(problem, asked, start = null) {
  const near = solveNear(problem, asked, start);
  if (near) return near;
  const bounds = boundsOf(problem);
  return asked.length === 1 ? firstCrossing(bounds, asked) : follow(bounds, asked);
}

// The same where it takes no search; else null.
function solveNear(problem, asked, start) {
  const bounds = boundsOf(problem), zero = asked.map(() => 0);
  if (bounds(zero).every((value, k) => value >= asked[k])) return { point: zero, nearest: asked, whole: true };
  const near = start && newton(bounds, asked, start, 8);
  return near ? { point: near, nearest: asked, whole: true } : null;
}

// A solved plan: multipliers, values, bounds, target over reference of every row, its KL and the effective share of the rows.
function planAt(problem, multipliers) {
  const direction = [1, ...multipliers], sets = problem.folds.map((columns) => exponents(problem, columns, direction));
  const targets = sets.map((exponent) => perPrompt(problem, exponent));
  const target = targets[0].map((_, i) => targets.reduce((sum, part) => sum + part[i], 0) / targets.length);
  const weights = rowWeights(problem, sets, target, direction);
  const kl = weighted(problem.mass, target.map((ratio) => (ratio > 0 ? ratio * Math.log(ratio) : 0)));
  const total = weighted(problem.mass, weights), squares = weighted(problem.mass, weights.map((weight) => weight * weight));
  return { multipliers, ...estimate(problem, multipliers), target, kl: Math.max(kl, 0), ess: total * total / squares };
}

// Weights of the rows as training will see them: normalised per prompt, in one pool, or between the two.
function rowWeights(problem, sets, target, direction) {
  if (!problem.sampled) return target;
  const kappa = problem.pooling ?? credibility(problem, exponents(problem, problem.base, direction));
  if (kappa === 0) return target;
  const made = new Float64Array(problem.rows);
  for (const exponent of sets) {
    const peak = exponent.reduce((a, b) => Math.max(a, b), -Infinity), parts = exponent.map((value) => Math.exp(value - peak));
    const pool = weighted(problem.mass, parts);
    const sums = new Float64Array(problem.starts.length);
    parts.forEach((part, i) => { sums[problem.promptOf[i]] += part; });
    const one = parts.map((part, i) => {
      const others = problem.counts[problem.promptOf[i]] - 1, rest = Math.max(sums[problem.promptOf[i]] - part, 0);
      if (kappa === Infinity) return part / pool;
      return part / ((rest + kappa * pool) / (others + kappa));
    });
    const mean = weighted(problem.mass, one);
    one.forEach((value, i) => { made[i] += value / mean / sets.length; });
  }
  return made;
}

// Buehlmann's constant: variance of the parts within prompts over that of their means between prompts.
function credibility(problem, exponent) {
  const { counts, promptOf, rows } = problem, prompts = counts.length;
  if (prompts === 1) return 0;
  if (counts.every((count) => count < 2)) return Infinity;
  const peak = exponent.reduce((a, b) => Math.max(a, b), -Infinity), parts = exponent.map((value) => Math.exp(value - peak));
  const means = new Float64Array(prompts);
  parts.forEach((part, i) => { means[promptOf[i]] += part / counts[promptOf[i]]; });
  const within = parts.reduce((sum, part, i) => sum + (part - means[promptOf[i]]) ** 2, 0) / (rows - prompts);
  const overall = parts.reduce((a, b) => a + b, 0) / rows;
  const effective = (rows - counts.reduce((sum, count) => sum + count * count, 0) / rows) / (prompts - 1);
  const spread = means.reduce((sum, mean, g) => sum + counts[g] * (mean - overall) ** 2, 0) / (prompts - 1);
  const between = (spread - within) / effective;
  return between > 1e-12 * within ? within / between : Infinity;
}
