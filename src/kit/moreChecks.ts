/**
 * MoreChecks: what a protocol module writes, and what it keeps of links that are over.
 * From: kitThread.ts.  To: findings: each a sentence for the module's author.
 * Bound: LINKS_TRIED links; the process's own collector says what is left of them.
 */
import { CLOSE_REASONS } from '../base/errors.ts';
import { collect } from '../base/v8.ts';
import { ModuleProtocol } from '../wire/module/moduleProtocol.ts';
import { type Bench, type Check, type CheckOutcome, failed, note, ok } from './checks.ts';
import { explain, type Story, Telling, tellStory } from './story.ts';

/** Payloads that nobody has thought of; `bytesMax`: the longest that may be sent. */
function payloadsOf(bytesMax: number): Buffer[] {
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const all = [Buffer.alloc(0), Buffer.from('1'), every, Buffer.alloc(bytesMax, 'x')];
  return all.filter(({ length }) => length <= bytesMax);
}

const TOPICS = ['a', 'no.such.command', 'constructor', '__proto__', 'x'.repeat(128)];

/** Whatever a backend sends, and however a link ends, the module has bytes or none. */
export const writesAnything: Check = (bench) => {
  const { module, limits, samples } = bench;
  const bytesMax = Math.min(module.protocol.payloadBytesMax ?? Infinity, limits.frameBytesMax);
  const own = samples.flatMap(({ commands }) => commands.map(({ topic }) => topic));
  let written = 0;
  for (const sample of samples) {
    for (const topic of new Set([...own, ...TOPICS])) {
      for (const payload of payloadsOf(bytesMax)) {
        const telling = loggedIn(bench, sample.parts);
        telling.command(1, { topic, payload });
        telling.write(telling.protocol.ping());
        const fault = telling.story.error;
        if (fault)
          return failed(`a command ${topic} of ${payload.length} bytes: ${explain(fault)}`);
        written += 1;
      }
    }
  }
  const ends = goodbyes(bench);
  return ends ?? ok(`${written} commands that nobody expects, and every goodbye, are borne`);
};

function loggedIn({ module, limits }: Bench, parts: readonly Buffer[]): Telling {
  const telling = new Telling(new ModuleProtocol(module, limits));
  for (const part of parts) {
    if (telling.types.includes('hello')) break;
    telling.hear(part);
  }
  return telling;
}

/** With a device that was let in, and with one of which nothing has come. */
function goodbyes(bench: Bench): CheckOutcome | undefined {
  const [sample] = bench.samples;
  for (const reason of CLOSE_REASONS) {
    for (const parts of [[], sample?.parts ?? []]) {
      const { protocol } = loggedIn(bench, parts);
      protocol.goodbye(reason, 1_000);
      const { failure } = protocol;
      if (failure) return failed(`a goodbye “${reason}”: ${explain(failure)}`);
    }
  }
  return undefined;
}

const LINKS_TRIED = 1_500;
/** Less than that is the engine's own. */
const BYTES_PER_LINK = 256;

/** Nothing is left of links that are over. */
export const keepsNothing: Check = ({ module, limits, samples }) => {
  const live = (links: number): Story[] => {
    for (let left = links; left > 0; left -= 1) {
      for (const { bytes, commands } of samples) tellStory(module, limits, [bytes], commands);
    }
    return [];
  };
  live(LINKS_TRIED);
  const before = heldNow();
  live(LINKS_TRIED);
  const grown = heldNow() - before;
  const each = Math.round(grown / (LINKS_TRIED * Math.max(1, samples.length)));
  if (each > BYTES_PER_LINK) return failed(`each link that is over leaves about ${each} bytes`);
  return ok(`nothing is left of ${LINKS_TRIED * samples.length} links that are over`);
};

function heldNow(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const BUSY_MS = 20;

/** How long the slowest call was: it is time in which no other link of its process is served. */
export function slowestCall(longestMs: number, fn: string): CheckOutcome {
  const sentence = `the slowest call, ${fn}, took ${longestMs.toFixed(1)} ms`;
  return longestMs > BUSY_MS ? note(`${sentence}: other links wait for that long`) : ok(sentence);
}
