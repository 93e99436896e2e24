/**
 * Devices flap while acceptors, the registrar and the broker are killed at random; afterwards two
 * subscribers, one of which came late, say of every device what is true. OWSLA_SOAK: 2,000 devices
 * for 3 minutes.
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { chance, Flapper } from '../helpers/fakes/flappers.ts';
import { type Page, Subscriber } from '../helpers/fakes/subscriber.ts';
import { startBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const SEED = Number(process.env.OWSLA_TEST_SEED ?? randomInt(2 ** 31));
const IS_SOAK = process.env.OWSLA_SOAK !== undefined;
const DEVICES = IS_SOAK ? 2_000 : 400;
const ACCEPTORS = IS_SOAK ? 3 : 2;
const DURATION_MS = IS_SOAK ? 180_000 : 8_000;
/** Each device changes every so many ms, on average. */
const FLAP_EVERY_MS = IS_SOAK ? 6_000 : 2_000;
const STEP_MS = 20;
const FAULT_EVERY_MS = 1_500;
/** Generous: it only tells a hang from a wait. */
const SETTLE_MS = 120_000;

const PREFIX = 'flap';
const random = chance(SEED);
const faults = chance(SEED + 1);
const dataDir = mkdtempSync(join(tmpdir(), 'owsla-data-'));
const broker = await startBroker();
const limits = {
  restartsMax: 10_000,
  connectsPerSecond: 100_000,
  connectBurst: 100_000,
  takeoversMax: 1_000,
  reconnectMaxMs: 500,
  keepaliveMs: 60_000,
};
const flags = ['--data-dir', dataDir];
const options = { amqp: broker.url, prefix: PREFIX, acceptors: ACCEPTORS, limits, flags };
const server = await Server.start(options);
const early = await Subscriber.start(broker.url, PREFIX);
let late: Subscriber | undefined;
const fleet = Array.from(
  { length: DEVICES },
  (_, at) => new Flapper(`door-${at}`, () => server.port),
);

t.teardown(async () => {
  for (const device of fleet) device.leave();
  await early.close();
  await late?.close();
  await server.stop();
  await broker.stop();
  rmSync(dataDir, { recursive: true });
});

/** A killed one is gone when this resolves: its devices must not take its last links for good. */
async function kill(child: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  try {
    const pid = server.childPid(child);
    // Its pid may be another program's by now.
    const isOurs = () => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('owsla');
    if (!isOurs()) return;
    process.kill(pid, signal);
    while (signal === 'SIGKILL' && isOurs()) await pause(STEP_MS);
  } catch {
    // It has died, and the next one is not ready yet.
  }
}

const done: string[] = [];

/** One fault; the broker's restart goes on beside the others. */
async function fault(): Promise<void> {
  const lot = faults();
  if (lot < 0.4) {
    const victim = `acceptor ${1 + Math.floor(faults() * ACCEPTORS)}`;
    done.push(victim);
    await kill(victim);
  } else if (lot < 0.8) {
    done.push('registrar');
    await kill('registrar');
  } else {
    done.push('registrar stopped');
    const pid = server.childPid('registrar');
    await kill('registrar', 'SIGSTOP');
    await pause(800);
    try {
      process.kill(pid, 'SIGCONT');
    } catch {
      // Another fault was faster.
    }
  }
}

async function killBroker(): Promise<void> {
  done.push('broker');
  await broker.kill();
  await pause(1_000);
  await broker.start();
}

/** Everybody flaps, and things die, for the test's time. */
async function havoc(): Promise<void> {
  const end = performance.now() + DURATION_MS;
  const isGoing = () => performance.now() < end;
  const flapping = (async () => {
    while (isGoing()) {
      for (let flaps = (DEVICES * STEP_MS) / FLAP_EVERY_MS; flaps > 0; flaps -= 1) {
        if (flaps < 1 && random() > flaps) break;
        fleet[Math.floor(random() * DEVICES)]?.flap(random);
      }
      await pause(STEP_MS);
    }
  })();
  const faulting = (async () => {
    while (isGoing()) {
      await pause(FAULT_EVERY_MS);
      await fault();
    }
  })();
  await pause(DURATION_MS / 4);
  const broken = killBroker();
  await pause(DURATION_MS / 4);
  await broken;
  late = await Subscriber.start(broker.url, PREFIX);
  await late.catchUp(500);
  await Promise.all([flapping, faulting]);
}

/** What is wrong in a subscriber's view, device by device. */
function wrong(view: Subscriber['view']): string[] {
  return fleet.flatMap(({ id, connection }) => {
    const word = view.get(id);
    const told = word?.online ? word.connection : undefined;
    return told === connection ? [] : [`${id}: is ${connection}, told ${told} (${word?.reason})`];
  });
}

t.test(`presence is right after ${DEVICES} devices flapped in havoc, seed ${SEED}`, async (t) => {
  t.comment(`seed ${SEED}; again with OWSLA_TEST_SEED=${SEED}`);
  for (const device of fleet) if (random() < 0.5) device.connect();
  await havoc();
  await waitFor('every link to settle', () => fleet.every(({ isSettled }) => isSettled), SETTLE_MS);
  const began = performance.now();
  const isRight = () =>
    wrong(early.view).length === 0 &&
    late !== undefined &&
    wrong(late.view).length === 0 &&
    fleet.every(({ openLinks }) => openLinks <= 1);
  await waitFor('the truth', isRight, SETTLE_MS).catch(() => {});
  const took = Math.round(performance.now() - began);

  t.same(wrong(early.view).slice(0, 9), [], 'the early subscriber is right of every device');
  t.same(wrong(late?.view ?? new Map()).slice(0, 9), [], 'the late one is too');
  t.ok(
    fleet.every(({ openLinks }) => openLinks <= 1),
    'no device has two links',
  );
  const rows = new Subscriber(broker.url, PREFIX);
  for (let after: string | null = ''; after !== null; ) {
    const page: Page = await early.query({ after });
    for (const row of page.devices) rows.merge(row);
    after = page.next;
  }
  t.same(wrong(rows.view).slice(0, 9), [], 'so are the rows');
  const heard = new Map<string, Set<number>>();
  for (const { device, seq } of early.heard) {
    heard.set(device, (heard.get(device) ?? new Set()).add(seq));
  }
  const gaps = [...rows.view.values()].filter(({ device, seq }) => heard.get(device)?.size !== seq);
  t.same(gaps.slice(0, 9), [], 'every change added 1 to seq, and each was told');
  t.equal(new Set(early.heard.map(({ epoch }) => epoch)).size, 1);
  const changes = [...rows.view.values()].reduce((sum, { seq }) => sum + seq, 0);
  t.comment(`${changes} changes, ${early.heard.length} events heard, right after ${took} ms`);
  t.comment(`faults: ${done.join(', ')}`);
  t.ok(changes > DEVICES);
});
