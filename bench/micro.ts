/**
 * The parts of the hot path, each against the plainest other way to do it.
 * `node bench/micro.ts [--runs 5]`: nanoseconds per operation, contenders in turn.
 */
import { parseArgs } from 'node:util';
import { pack, unpack } from 'msgpackr';
import { v4 as uuid } from 'uuid';
import { Registry } from '../src/endpoint/registry.ts';
import { type Message, TYPE } from '../src/wire/message.ts';
import { decode, encode, v1 } from '../src/wire/v1.ts';
import { heading, ratios, row, spread } from './stats.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '5' } } });
const runs = Number(values.runs);
const ROUNDS = 300_000;

/** Keeps results alive, so that nothing is optimized away. */
let sink: unknown;

function timed(work: (i: number) => unknown): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < ROUNDS; i += 1) sink = work(i);
  return Number(process.hrtime.bigint() - start) / ROUNDS;
}

function compare(title: string, contenders: Record<string, (i: number) => unknown>): void {
  console.log(heading(title));
  const names = Object.keys(contenders);
  const times = new Map(names.map((name) => [name, [] as number[]]));
  for (const work of Object.values(contenders)) timed(work);
  for (let run = 0; run < runs; run += 1) {
    for (const [name, work] of Object.entries(contenders)) times.get(name)?.push(timed(work));
  }
  const [ours = '', theirs] = names;
  for (const name of names) console.log(row(`  ${name}`, spread(times.get(name) ?? []), 'ns'));
  if (theirs === undefined) return;
  console.log(row('  ratio', ratios(times.get(ours) ?? [], times.get(theirs) ?? [])));
}

const payload = Buffer.alloc(32, 'x');
const request: Message = { type: TYPE.REQUEST, id: 70_000, topic: 'door.badge', payload, meta: {} };
const frame = encode(request);
const bytes = frame.subarray(4);
const chunk = Buffer.concat(Array.from({ length: 10 }, () => frame));

compare('decode one REQUEST', {
  'strict reader (ours)': () => decode(bytes),
  'msgpackr unpack, unchecked': () => unpack(bytes),
});

compare('encode one REPLY with its length', {
  'msgpackr with reserved start (ours)': (i) =>
    encode({ type: TYPE.REPLY, id: i + 1, status: 0, payload }),
  'msgpackr pack, then concat': (i) => {
    const body = pack([8, i + 1, 0, payload]);
    const header = Buffer.allocUnsafe(4);
    header.writeUInt32BE(body.length);
    return Buffer.concat([header, body]);
  },
});

compare('ten frames in one chunk', {
  'reader, cut and decoded': () => {
    const reader = v1.reader(65_536);
    reader.push(chunk);
    let last: Message | undefined;
    for (let next = reader.next(); next; next = reader.next()) last = next;
    return last;
  },
  'cut by hand, unpacked unchecked': () => {
    let last: unknown;
    for (let at = 0; at < chunk.length; ) {
      const length = chunk.readUInt32BE(at);
      last = unpack(chunk.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    return last;
  },
});

const LINKS = 20_000;
const registry = new Registry<{ id: string }>();
const plain = new Map<string, { id: string }>();
const ids = Array.from({ length: LINKS }, () => uuid());
for (const id of ids) {
  registry.register({ id });
  plain.set(id, { id });
}
/** As it comes from the broker: a fresh string, its hash not yet known. */
const texts = ids.map((id) => Buffer.from(`${id}:1`));
const fresh = (i: number) => (texts[i % LINKS] as Buffer).toString('latin1', 0, 36);

compare(`find one of ${LINKS} links by a fresh id`, {
  'registry, 256 shards (ours)': (i) => registry.find(fresh(i)),
  'one plain Map': (i) => plain.get(fresh(i)),
});

if (sink === undefined) throw new Error('nothing was measured');
