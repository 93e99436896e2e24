/**
 * Client: many lean links of one dialect in one process, told what to do by the harness.
 * From: `Ask`s over IPC, one at a time.  To: one `Answer` each.
 * Sends on a schedule, not when answers come (rate 0: as answers come), and takes the time of the
 * write itself, so that this process being late is told (`lateMs`) and not taken for the server's.
 * Bound: the open-file limit; a link that fails fails the whole ask.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { sourceOf } from './addresses.ts';
import {
  DIALECTS,
  type Dialect,
  type DialectName,
  STAMP_BYTES,
  type Template,
} from './dialects.ts';
import { Cutter } from './frames.ts';

export type Ask =
  /** Open this many links more, at most `window` of them at the same time under way. */
  | { readonly do: 'open'; readonly links: number; readonly window: number }
  /** Let each link be reached that cannot be yet; a no-op where the greeting suffices. */
  | { readonly do: 'subscribe' }
  /** Round trips on all links in turn, `rate` a second in all; 0: one under way on each. */
  | { readonly do: 'rounds'; readonly rate: number; readonly seconds: number }
  /** Events, `window` of them un-ACKed on each link. */
  | { readonly do: 'events'; readonly window: number; readonly seconds: number }
  /** PINGs on all links in turn, `rate` a second in all. */
  | { readonly do: 'pings'; readonly rate: number; readonly seconds: number }
  /** End all but the first so many links by a reset. */
  | { readonly do: 'close'; readonly keep: number };

export interface Answer {
  readonly seconds: number;
  /** Of this process. */
  readonly cpuUs: number;
  /** Messages sent, and answered or ACKed, in the time asked for; links for 'open'. */
  readonly sent: number;
  readonly done: number;
  /** What was still under way at the end and never came. */
  readonly lost: number;
  /** Round trips in ms: p50, p99, p99.9, max. */
  readonly times?: readonly [number, number, number, number];
  /** How late the schedule's p99 was, in ms. */
  readonly lateMs?: number;
}

interface Link {
  readonly socket: Socket;
  readonly name: string;
  readonly cutter: Cutter;
  request: Template | undefined;
  event: Template | undefined;
  id: number;
}

/** A server that fell behind gets this long: its backlog must not be the next measurement's. */
const STRAGGLERS_MS = 60_000;
const OPEN_DEADLINE_MS = 300_000;
const MQTT_ID_MAX = 0xffff;

const [dialectName = 'bare', port = '0', name = 'd', net = '127.0.2'] = process.argv.slice(2);
const dialect: Dialect = DIALECTS[dialectName as DialectName];
const links: Link[] = [];
/** The first so many of them. */
let subscribed = 0;
let onAnswer: (link: Link, sentMs: number) => void = () => {};
let onAck: (link: Link) => void = () => {};
let pongs = 0;
/** The link whose turn it is to PING. */
let pinging = 0;
let others = 0;
/** Why a link failed, which may be between two asks. */
let broken: Error | undefined;
let giveUp: (error: Error) => void = () => {};

process.on('disconnect', () => process.exit());

function fail(error: Error): void {
  broken ??= error;
  giveUp(broken);
}

function openOne(index: number): Promise<void> {
  return new Promise((resolve) => {
    const localAddress = sourceOf(net, index);
    const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress, noDelay: true });
    const own = `${name}-${index}`;
    const cutter = new Cutter(dialect.lengthAt);
    const link: Link = { socket, name: own, cutter, request: undefined, event: undefined, id: 0 };
    socket.on('error', (error) => fail(error));
    socket.once('close', () => fail(new Error(`the server closed link ${own}`)));
    socket.once('connect', () => socket.write(dialect.hello(own)));
    socket.once('data', (chunk: Buffer) => {
      if (!dialect.isWelcome(chunk)) fail(new Error(`no welcome: ${chunk.toString('hex')}`));
      socket.on('data', (chunk: Buffer) => hear(link, chunk));
      links.push(link);
      resolve();
    });
  });
}

function hear(link: Link, chunk: Buffer): void {
  link.cutter.push(chunk, (bytes, at, end) => {
    const kind = dialect.kindAt(bytes, at, end);
    if (kind === 'answer') onAnswer(link, bytes.readDoubleBE(end - STAMP_BYTES));
    else if (kind === 'ack') onAck(link);
    else if (kind === 'pong') pongs += 1;
    else others += 1;
  });
}

function send(link: Link, template: Template): void {
  const bytes = Buffer.from(template.bytes);
  link.id += 1;
  if (template.idBytes === 4) bytes.writeUInt32BE(link.id, template.idAt);
  if (template.idBytes === 2) bytes.writeUInt16BE(1 + (link.id % MQTT_ID_MAX), template.idAt);
  bytes.writeDoubleBE(performance.now(), bytes.length - STAMP_BYTES);
  link.socket.write(bytes);
}

function sendRequest(link: Link): void {
  link.request ??= dialect.request(link.name);
  send(link, link.request);
}

function sendEvent(link: Link): void {
  link.event ??= dialect.event(link.name);
  send(link, link.event);
}

type Outcome = Pick<Answer, 'sent' | 'done' | 'lost' | 'times' | 'lateMs'>;

async function open(count: number, window: number): Promise<Outcome> {
  const first = links.length;
  let next = first;
  const lane = async () => {
    while (next < first + count) {
      next += 1;
      await openOne(next - 1);
    }
  };
  const late = pause(OPEN_DEADLINE_MS, undefined, { ref: false }).then(() => {
    throw new Error(`${links.length - first} of ${count} links after ${OPEN_DEADLINE_MS} ms`);
  });
  await Promise.race([Promise.all(Array.from({ length: window }, lane)), late]);
  return { sent: count, done: links.length - first, lost: 0 };
}

async function subscribe(): Promise<Outcome> {
  const before = others;
  let asked = 0;
  for (const { socket, name } of links.slice(subscribed)) {
    const bytes = dialect.subscription(name);
    if (bytes === undefined) continue;
    socket.write(bytes);
    asked += 1;
  }
  subscribed = links.length;
  const giveUpAt = performance.now() + OPEN_DEADLINE_MS;
  while (others - before < asked && performance.now() < giveUpAt) await pause(5);
  const done = others - before;
  others = 0;
  if (done < asked) throw new Error(`only ${done} of ${asked} subscriptions were answered`);
  return { sent: asked, done, lost: 0 };
}

/** The value that this share of all is not above. */
function at(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Waits for what is under way; gives what never came. */
async function stragglers(underWay: () => number): Promise<number> {
  const giveUpAt = performance.now() + STRAGGLERS_MS;
  while (underWay() > 0 && performance.now() < giveUpAt) await pause(2);
  return underWay();
}

/** `send` so many times a second, each as late as it says. */
async function onSchedule(
  rate: number,
  seconds: number,
  send: (lateMs: number) => void,
): Promise<void> {
  const begin = performance.now();
  let sent = 0;
  for (const total = rate * seconds; sent < total; await pause(1)) {
    const now = performance.now();
    for (let due = begin + (sent * 1_000) / rate; due <= now && sent < total; ) {
      send(now - due);
      sent += 1;
      due = begin + (sent * 1_000) / rate;
    }
  }
}

async function pings(rate: number, seconds: number): Promise<Outcome> {
  const before = pongs;
  let sent = 0;
  await onSchedule(rate, seconds, () => {
    links[pinging % links.length]?.socket.write(dialect.ping);
    pinging += 1;
    sent += 1;
  });
  const lost = await stragglers(() => sent - (pongs - before));
  return { sent, done: pongs - before, lost };
}

async function rounds(rate: number, seconds: number): Promise<Outcome> {
  const times: number[] = [];
  const lates: number[] = [];
  const begin = performance.now();
  const end = begin + seconds * 1_000;
  let sent = 0;
  onAnswer = (link, sentMs) => {
    if (sentMs < begin) return;
    const now = performance.now();
    times.push(now - sentMs);
    if (rate !== 0 || now >= end) return;
    sent += 1;
    sendRequest(link);
  };
  if (rate === 0) {
    for (const link of links) sendRequest(link);
    sent += links.length;
    await pause(seconds * 1_000);
  }
  if (rate !== 0) {
    await onSchedule(rate, seconds, (lateMs) => {
      lates.push(lateMs);
      sendRequest(links[sent % links.length] as Link);
      sent += 1;
    });
  }
  const done = times.length;
  const lost = await stragglers(() => sent - times.length);
  const sorted = Float64Array.from(times).sort();
  const late = Float64Array.from(lates).sort();
  return {
    ...{ sent, lost, times: [at(sorted, 0.5), at(sorted, 0.99), at(sorted, 0.999), at(sorted, 1)] },
    // At a given rate the last few are on their way at the end; they count, they were asked for.
    ...(rate === 0 ? { done } : { done: times.length, lateMs: at(late, 0.99) }),
  };
}

async function events(window: number, seconds: number): Promise<Outcome> {
  const end = performance.now() + seconds * 1_000;
  let sent = 0;
  let acked = 0;
  onAck = (link) => {
    acked += 1;
    if (performance.now() >= end) return;
    sent += 1;
    sendEvent(link);
  };
  for (const link of links) for (let i = 0; i < window; i += 1) sendEvent(link);
  sent += links.length * window;
  await pause(seconds * 1_000);
  const done = acked;
  return { sent, done, lost: await stragglers(() => sent - acked) };
}

async function close(keep: number): Promise<Outcome> {
  const ended = links.splice(keep);
  for (const { socket } of ended) {
    socket.removeAllListeners('close');
    socket.resetAndDestroy();
  }
  subscribed = Math.min(subscribed, keep);
  return { sent: ended.length, done: ended.length, lost: 0 };
}

function act(ask: Ask): Promise<Outcome> {
  if (ask.do === 'open') return open(ask.links, ask.window);
  if (ask.do === 'subscribe') return subscribe();
  if (ask.do === 'rounds') return rounds(ask.rate, ask.seconds);
  if (ask.do === 'pings') return pings(ask.rate, ask.seconds);
  if (ask.do === 'events') return events(ask.window, ask.seconds);
  return close(ask.keep);
}

process.on('message', async (ask: Ask) => {
  const failed = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  if (broken !== undefined) giveUp(broken);
  const cpu = process.cpuUsage();
  const begin = performance.now();
  try {
    const outcome = await Promise.race([act(ask), failed]);
    const seconds = (performance.now() - begin) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    if (others > 0) throw new Error(`${others} frames that answer nothing`);
    process.send?.({ ...outcome, seconds, cpuUs: user + system } satisfies Answer);
  } catch (error) {
    process.send?.({ error: String(error) });
  }
});
