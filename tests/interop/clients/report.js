// What every Node client shares: see report.py.
'use strict';
const { createHash } = require('node:crypto');

const [base, protocol, unix] = process.argv.slice(2);
const SCENARIO_MS = 15_000;

function pairs(raw) {
  const lines = [];
  for (let i = 0; i < raw.length; i += 2) lines.push([String(raw[i]), String(raw[i + 1])]);
  return lines;
}

function body(data) {
  if (data.length <= 200) return data.toString('latin1');
  return { bytes: data.length, sha256: createHash('sha256').update(data).digest('hex') };
}

// An answer; one of /echo brings what the upstream saw.
function answer(status, headers, data, more = {}) {
  const seen = { status, headers, ...more };
  const echoed = headers.some(([name]) => name.toLowerCase() === 'x-echo') && data.length > 0;
  return echoed ? { ...seen, upstream: JSON.parse(data) } : { ...seen, body: body(data) };
}

function pattern(size) {
  const data = Buffer.alloc(size);
  for (let i = 0; i + 4 <= size; i += 4) data.writeUInt32BE(i, i);
  return data;
}

async function collect(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
}

async function timed(run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done in ${SCENARIO_MS} ms`)), SCENARIO_MS);
  });
  try {
    return await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}

// Runs {name: async function}, prints what each saw, and ends the process.
async function main(scenarios) {
  for (const [scenario, run] of Object.entries(scenarios)) {
    let saw;
    try {
      saw = await timed(run);
    } catch (error) {
      saw = { error: `${error.code ?? error.name}: ${error.message} ${error.cause ?? ''}`.trim() };
    }
    await new Promise((resolve) => process.stdout.write(`${JSON.stringify({ scenario, saw: saw ?? null })}\n`, resolve));
  }
  process.exit(0);
}

module.exports = { answer, base, body, collect, main, pairs, pattern, protocol, unix };
