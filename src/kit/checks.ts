/**
 * Checks: what a protocol module has to hold, each tried with its samples and with noise.
 * From: kitThread.ts.  To: findings: each a sentence for the module's author.
 * Bound: `rounds` of noise; each check ends at the first thing that is wrong.
 */
import { type ModuleOfLinks, ModuleProtocol } from '../wire/module/moduleProtocol.ts';
import type { Finding } from '../wire/module/moduleTypes.ts';
import type { ProtocolLimits, ProtocolState } from '../wire/protocol.ts';
import type { Chance } from './chance.ts';
import type { KnownSample } from './samples.ts';
import { explain, isModulesFault, type Story, Telling, tellStory } from './story.ts';

export interface Bench {
  readonly module: ModuleOfLinks;
  readonly samples: readonly KnownSample[];
  readonly limits: ProtocolLimits;
  readonly chance: Chance;
  readonly rounds: number;
}

export type CheckOutcome = Pick<Finding, 'state' | 'what'>;
export type Check = (bench: Bench) => CheckOutcome | readonly CheckOutcome[];

export const ok = (what: string): CheckOutcome => ({ state: 'ok', what });
export const note = (what: string): CheckOutcome => ({ state: 'note', what });
export const failed = (what: string): CheckOutcome => ({ state: 'failed', what });

const SHOWN_BYTES = 64;

export function shown(bytes: Buffer): string {
  const hex = bytes.subarray(0, SHOWN_BYTES).toString('hex');
  return bytes.length > SHOWN_BYTES ? `${hex}... (${bytes.length} bytes)` : hex;
}

/** Each sample is read from its first byte to its last, and shows what the module says it can. */
export const readsSamples: Check = ({ module, samples, limits }) => {
  if (samples.length === 0) {
    return failed('there are no samples: export a list `samples`, or give --samples FOLDER');
  }
  const outcomes = samples.map((sample) => {
    const story = tellStory(module, limits, [sample.bytes], sample.commands);
    return sampleFault(module, sample, story) ?? ok(`“${sample.name}”: ${countsOf(story)}`);
  });
  if (outcomes.some(({ state }) => state === 'failed')) return outcomes;
  const seen = samples.flatMap(
    ({ bytes, commands }) => tellStory(module, limits, [bytes], commands).types,
  );
  return [...outcomes, ...unseen(module, new Set(seen))];
};

function sampleFault(
  { protocol: { capabilities } }: ModuleOfLinks,
  { name }: KnownSample,
  { types, error, rest, bare, unsent }: Story,
): CheckOutcome | undefined {
  const say = (what: string) => failed(`“${name}” ${what}`);
  if (error) return say(`ends after ${types.length} messages: ${explain(error)}`);
  if (rest > 0) return say(`ends with ${rest} bytes that are no whole frame`);
  if (!types.includes('hello')) return say('has no login');
  if (unsent > 0) return say('has a command that the module does not know');
  for (const [type, word] of [
    ['event', 'events'],
    ['request', 'requests'],
  ] as const) {
    if (types.includes(type) && !capabilities[word]) {
      return say(`has an ${type}, and capabilities.${word} is false`);
    }
  }
  if (bare > 0 && capabilities.acknowledgements) {
    return say('has an event without `ack`, and capabilities.acknowledgements is true');
  }
  return undefined;
}

const PLAIN: Readonly<Record<string, string>> = { hello: 'login', ack: 'command taken' };

function countsOf({ types }: Story): string {
  const counts = new Map<string, number>();
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].map(([type, count]) => `${count} ${PLAIN[type] ?? type}`).join(', ');
}

/** What the module says that it can, and no sample shows. */
function unseen({ protocol }: ModuleOfLinks, seen: ReadonlySet<string>): CheckOutcome[] {
  const { events, requests, commands } = protocol.capabilities;
  const claims: readonly (readonly [boolean, string, string])[] = [
    [events, 'event', 'an event'],
    [requests, 'request', 'a request'],
    [commands === 'taken', 'ack', 'a command that is taken'],
    [commands === 'results', 'result', 'the result of a command'],
  ];
  return claims
    .filter(([isClaimed, type]) => isClaimed && !seen.has(type))
    .map(([, , what]) => note(`no sample shows ${what}: that part is not checked`));
}

/** However TCP cuts a stream, it means the same. */
export const readsAnyCut: Check = ({ module, samples, limits, chance }) => {
  for (const { name, bytes, commands } of samples) {
    const whole = tellStory(module, limits, [bytes], commands);
    for (const chunks of cutsOf(bytes, chance)) {
      const fault = difference(whole, tellStory(module, limits, chunks, commands));
      if (fault !== undefined) {
        const sizes = chunks.map(({ length }) => length);
        const [first = 0] = sizes;
        const how = sizes.every((size) => size === 1) ? 'byte by byte' : `cut after ${first} bytes`;
        return failed(`“${name}” means something else ${how}: ${fault}`);
      }
    }
  }
  return ok('each sample means the same as one piece, byte by byte, and cut anywhere');
};

const CUTS_MAX = 512;
const RANDOM_CUTS = 64;

function* cutsOf(bytes: Buffer, chance: Chance): Generator<readonly Buffer[]> {
  yield Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  const step = Math.ceil(bytes.length / CUTS_MAX);
  for (let at = 1; at < bytes.length; at += step) yield [bytes.subarray(0, at), bytes.subarray(at)];
  for (let left = RANDOM_CUTS; left > 0; left -= 1) yield chance.cut(bytes);
}

/** Where two stories part; undefined: they are one. */
export function difference(one: Story, other: Story): string | undefined {
  const at = one.words.findIndex((word, index) => word !== other.words[index]);
  if (at === -1 && one.words.length === other.words.length) return undefined;
  const index = at === -1 ? one.words.length : at;
  const [mine = 'nothing more', theirs = 'nothing more'] = [one.words[index], other.words[index]];
  return `${cut(mine)} becomes ${cut(theirs)}`;
}

function cut(word: string): string {
  return word.length > 120 ? `${word.slice(0, 120)}...` : word;
}

/** Bytes that no device should send: the link may end, and nothing else may happen. */
export const bearsNoise: Check = (bench) => {
  const { module, limits, chance, rounds, samples } = bench;
  let ended = 0;
  for (let round = 0; round < rounds; round += 1) {
    const bytes = noiseOf(bench);
    const commands = chance.pick(samples)?.commands ?? [];
    const whole = tellStory(module, limits, [bytes], commands);
    if (isModulesFault(whole.error)) {
      return failed(`${explain(whole.error)}; the bytes were ${shown(bytes)}`);
    }
    const fault = difference(whole, tellStory(module, limits, chance.cut(bytes), commands));
    if (fault !== undefined) {
      return failed(`noise means something else when it is cut: ${fault}; ${shown(bytes)}`);
    }
    if (whole.error !== undefined) ended += 1;
  }
  return ok(`${rounds} rounds of noise: ${ended} links ended, as they may, and nothing else`);
};

function noiseOf({ samples, chance }: Bench): Buffer {
  const kind = chance.below(8);
  if (kind === 0 || samples.length === 0) return chance.bytes(1 + chance.below(200));
  const { parts, bytes } = chance.pick(samples);
  if (kind > 3) return chance.spoil(bytes);
  // Whole frames, in an order that is none; the login first, or not.
  const some = Array.from({ length: 1 + chance.below(8) }, () => chance.pick(parts));
  return Buffer.concat(kind === 1 ? some : [parts[0] as Buffer, ...some]);
}

/** A frame that never ends is not kept beyond the limit. */
export const boundsFrames: Check = ({ module, limits, samples }) => {
  const { frameBytesMax } = limits;
  const [first] = samples;
  const fillers = [0x00, 0x20, 0x41, 0xff].map((byte) => Buffer.alloc(1_460, byte));
  for (const start of [Buffer.alloc(0), first?.bytes ?? Buffer.alloc(0)]) {
    for (const filler of fillers) {
      const telling = new Telling(new ModuleProtocol(module, limits));
      telling.hear(start);
      for (let sent = 0; sent <= 2 * frameBytesMax; sent += filler.length) telling.hear(filler);
      if (isModulesFault(telling.error)) return failed(explain(telling.error));
      const { heldBytes } = telling.protocol;
      if (heldBytes > 3 * frameBytesMax) return failed(`an endless frame holds ${heldBytes} bytes`);
    }
  }
  return ok(`a frame that does not end costs its link, at ${frameBytesMax} bytes at the latest`);
};

/** What happens on one link is nothing to another. */
export const keepsLinksApart: Check = ({ module, limits, samples }) => {
  for (const one of samples) {
    for (const other of samples) {
      const [first, second] = [one, other].map(
        ({ commands }) => new Telling(new ModuleProtocol(module, limits), commands),
      ) as [Telling, Telling];
      const length = Math.max(one.bytes.length, other.bytes.length);
      for (let at = 0; at < length; at += 3) {
        first.hear(one.bytes.subarray(at, at + 3));
        second.hear(other.bytes.subarray(at, at + 3));
      }
      for (const [sample, telling] of [
        [one, first],
        [other, second],
      ] as const) {
        const alone = tellStory(module, limits, [sample.bytes], sample.commands);
        const fault = difference(alone, telling.story);
        if (fault === undefined) continue;
        return failed(`“${sample.name}” means something else beside another link: ${fault}`);
      }
    }
  }
  return ok('two links at once mean what each of them means alone');
};

/** A link goes on in another process as if nothing had been. */
export const savesLinks: Check = ({ module, limits, samples }) => {
  let states = 0;
  for (const { name, parts, bytes, commands } of samples) {
    const whole = tellStory(module, limits, [bytes], commands);
    for (let at = 1; at < parts.length; at += 1) {
      const before = new Telling(new ModuleProtocol(module, limits), commands);
      for (const part of parts.slice(0, at)) before.hear(part);
      const { protocol } = before;
      if (!protocol.canMove) return note('its links have no `save`: they end at a reload');
      const state = protocol.state();
      if (protocol.failure) return failed(`“${name}”: ${explain(protocol.failure)}`);
      const moved = restored(module, state, limits);
      if (moved === undefined) return failed(`“${name}”: connect does not take what save gave`);
      const after = new Telling(moved);
      for (const part of parts.slice(at)) after.hear(part);
      const words = [...before.words, ...after.words.map((word) => word)];
      const fault = difference(withoutIds(whole), withoutIds({ ...whole, words }));
      if (fault !== undefined) return failed(`“${name}” is another link after a move: ${fault}`);
      states += 1;
    }
  }
  return ok(`links are saved and go on elsewhere: tried in ${states} places`);
};

function restored(module: ModuleOfLinks, state: ProtocolState, limits: ProtocolLimits) {
  const copy = structuredClone(state.remembered);
  return ModuleProtocol.restore(module, { ...state, remembered: copy }, limits);
}

/** A link with open commands does not move: which of them an answer is about is lost here. */
function withoutIds(story: Story): Story {
  const words = story.words.map((word) =>
    word.replace(/^(\{"type":"(?:ack|result)",.*?)"id":\d+/, '$1"id":0'),
  );
  return { ...story, words };
}
