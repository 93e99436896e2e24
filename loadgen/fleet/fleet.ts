/**
 * Fleet: the devices of one worker: connecting, keeping alive, coming back, being chosen.
 * From: worker.ts (start, stop), device.ts (open, end).  To: the devices; load.ts asks for one.
 * Bound: the plan's devices, worker w of W has those with index = w (mod W). A device that ended
 * comes back as the protocol asks: after `retryAfter`, or 1 s doubling to 120 s with full jitter.
 */

import { nowMs } from '../measure/clock.ts';
import type { Owner, Pending } from '../measure/ledger.ts';
import type { Measures } from '../measure/measures.ts';
import { Pauses } from '../measure/pauses.ts';
import type { Violations } from '../measure/violations.ts';
import { KIND, Payloads } from '../plan/payload.ts';
import { deviceId, LATE_MS, type Plan } from '../plan/plan.ts';
import { Random } from '../plan/random.ts';
import { Tokens } from '../plan/tokens.ts';
import type { Due } from './agenda.ts';
import { Device, type DeviceHost, type End, type State } from './device.ts';
import { Dialer } from './dialer.ts';
import { Pacer, type Source } from './pacer.ts';
import type { Speech } from './speech.ts';
import { Wills } from './wills.ts';

/** What is on the agenda for a device. */
export const DUE = { reconnect: 1, greeting: 2, keepalive: 3, think: 4, fault: 5 } as const;

/** Frames go out this much before the keepalive ends. */
const KEEPALIVE_SHARE = 0.75;
/** Time that a link may take from connect to WELCOME: what docs/protocol.md asks of devices. */
const GREETING_MS = 30_000;
const GREETING_STATES: ReadonlySet<State> = new Set(['connecting', 'securing', 'greeting']);
/** Two entries per event: beyond that many the watch of events would report false losses. */
const UNACKED_MAX = 4_000_000;

export class Fleet implements DeviceHost {
  readonly plan: Plan;
  readonly measures: Measures;
  readonly violations: Violations;
  readonly payloads: Payloads;
  readonly devices: Device[] = [];
  readonly open: Device[] = [];
  readonly dialer: Dialer;
  readonly speech: Speech;
  readonly wills: Wills;
  readonly pacer: Pacer;
  readonly random: Random;
  /** What load.ts and faults.ts want to know; set once, before `connect`. */
  onAnswered: (index: number, now: number) => void = () => {};
  onOpened: (device: Device, now: number) => void = () => {};
  onConnected: (device: Device) => void = (device) => device.greet(device.hello());
  /** A device acts on a command with this payload; true: it loses its link instead of answering. */
  onActed: (device: Device, payload: Buffer) => boolean = () => false;
  onDueElse: (due: Due, device: Device, now: number) => void = () => {};
  /** Called once, when every device's first try has had its outcome. */
  onSettledAll: () => void = () => {};
  pendingCount = 0;
  /** Events without an ACK in time: device index and number, in turn. */
  readonly unacked: number[] = [];
  connecting = 0;
  /** Devices whose first try had its WELCOME. */
  welcomes = 0;
  /** Missing where nothing is reloaded. */
  readonly pauses: Pauses | undefined;
  readonly #tokens: Tokens | undefined;
  #unsettled: number;
  #isStopping = false;
  readonly #background: Source[] = [];
  #cursor = 0;
  #sourceAt = 0;
  readonly #worker: number;
  readonly #queued: Device[] = [];

  constructor(
    plan: Plan,
    speech: Speech,
    worker: number,
    { measures, violations }: Pick<DeviceHost, 'measures' | 'violations'>,
  ) {
    this.plan = plan;
    this.measures = measures;
    this.violations = violations;
    this.#worker = worker;
    this.pauses = plan.deploy && new Pauses();
    this.#tokens = plan.tokens && new Tokens(plan.tokens);
    this.dialer = new Dialer(plan, this.#tokens, worker);
    this.speech = speech;
    this.random = new Random(plan.seed, worker);
    const bytesMax = Math.max(plan.bytes.max, ...plan.profiles.map(({ bytes }) => bytes.max));
    this.payloads = new Payloads(plan.run, plan.seed, bytesMax);
    this.wills = new Wills(plan, this.payloads);
    this.pacer = new Pacer({
      spin: plan.spin,
      onDue: (due, now) => this.#onDue(due, now),
      onTurnEnd: (now) => this.#flush(now),
    });
    for (let index = worker; index < plan.devices; index += plan.workers) {
      const device = new Device(index, deviceId(plan, index), this);
      device.isSleeper = new Random(plan.seed ^ 0x51ee, index).next() < plan.sleep.share;
      device.isAsleep = device.isSleeper;
      this.devices.push(device);
    }
    this.#unsettled = this.devices.length;
    this.#sourceAt = worker;
  }

  tokenOf(deviceId: string): string | undefined {
    // With PSK the key has proved it already.
    return this.plan.tls?.isPsk === true ? undefined : this.#tokens?.of(deviceId);
  }

  /** Plan the first connect of every device, from `startMs` on. */
  connect(startMs: number): void {
    if (this.#unsettled === 0) this.onSettledAll();
    else this.addBackground(new Connects(this, startMs));
  }

  /** Add a source that ends with the load, whatever it has still planned. */
  addBackground(source: Source): void {
    this.#background.push(source);
    this.pacer.add(source);
  }

  /** A device that the plan does not count, which has not tried to connect yet. */
  addNewcomer(): Device {
    const { plan, devices } = this;
    const index = this.#worker + devices.length * plan.workers;
    const device = new Device(index, deviceId(plan, index), this);
    device.isSettled = true;
    devices.push(device);
    return device;
  }

  /** First connects and faults that are still to come do not come any more. */
  stopBackground(): void {
    for (const source of this.#background) this.pacer.remove(source);
  }

  /** The device with this index in the whole plan. */
  at(index: number): Device {
    return this.devices[(index - this.#worker) / this.plan.workers] as Device;
  }

  /** The next open device in turn that can take a message, or `undefined`. */
  choose(): Device | undefined {
    const { open } = this;
    for (let tries = Math.min(open.length, 64); tries > 0; tries -= 1) {
      this.#cursor = this.#cursor + 1 < open.length ? this.#cursor + 1 : 0;
      const device = open[this.#cursor] as Device;
      if (device.canSend) return device;
    }
    return undefined;
  }

  start(device: Device, plannedMs: number, now: number): void {
    if (this.#isStopping || device.state !== 'down') return;
    const { sources } = this.plan;
    const source = sources.length === 0 ? undefined : sources[this.#sourceAt % sources.length];
    this.#sourceAt += this.plan.workers;
    if (now - plannedMs > LATE_MS) this.measures.counts.lateConnects += 1;
    this.connecting += 1;
    this.wills.onConnect(device, now);
    device.connect(plannedMs, source, now);
    this.pacer.at(now + GREETING_MS, DUE.greeting, device.index, device.link);
  }

  onOpen(device: Device): void {
    const now = nowMs();
    this.connecting -= 1;
    this.wills.onOpen(device, now);
    device.openAt = this.open.length;
    this.open.push(device);
    if (!device.isSettled) {
      this.measures.counts.firstWelcomes += 1;
      this.welcomes += 1;
    } else if (device.index >= this.plan.devices && device.link === 1) {
      this.measures.counts.newcomers += 1;
    }
    this.#settle(device);
    if (device.isAsleep) {
      // The server knows it now.
      this.retire(device);
      device.state = 'muted';
      device.close('bye');
      return;
    }
    const waitMs = device.keepaliveMs * KEEPALIVE_SHARE;
    if (waitMs > 0) this.pacer.at(now + waitMs, DUE.keepalive, device.index, device.link);
    this.onOpened(device, now);
  }

  /** A sleeper connects; from now on it is a device like the others. */
  wake(device: Device, plannedMs: number, now: number): void {
    device.isAsleep = false;
    this.measures.counts.wakes += 1;
    this.start(device, plannedMs, now);
  }

  /** Put something on the agenda for this link of `device`, `waitMs` from now. */
  after(waitMs: number, kind: number, device: Device): void {
    this.pacer.at(nowMs() + waitMs, kind, device.index, device.link);
  }

  /** Take a device out of the list that load chooses from. */
  retire(device: Device): void {
    const last = this.open.pop();
    if (last !== undefined && last !== device) {
      this.open[device.openAt] = last;
      last.openAt = device.openAt;
    }
    device.openAt = -1;
  }

  onCut(device: Device): void {
    this.wills.onEnd(device, 'cut', nowMs());
  }

  onEnd(device: Device, end: End): void {
    const { counts } = this.measures;
    if (!end.isCut) this.wills.onEnd(device, end.isOurs ? 'goodbye' : 'other', nowMs());
    if (device.openAt >= 0) this.retire(device);
    if (end.wasOpen) {
      counts.ends += 1;
      this.measures.label('ends', end.reason);
    } else {
      this.connecting -= 1;
      if (!this.#isStopping) {
        counts.connectFailures += 1;
        this.measures.label('connectErrors', end.reason);
      }
    }
    this.#settle(device);
    if (this.#isStopping || (device.isAsleep && end.wasOpen)) return;
    if (!this.plan.reconnect.isOn) return;
    const waitMs = this.#backoff(device, end);
    this.pacer.at(nowMs() + waitMs, DUE.reconnect, device.index, device.link);
  }

  #backoff(device: Device, end: End): number {
    const { minMs, maxMs, takenOverMs } = this.plan.reconnect;
    if (end.retryAfterMs !== undefined) return end.retryAfterMs;
    const jittered = this.random.next() * Math.min(maxMs, minMs * 2 ** device.failures);
    device.failures += 1;
    return end.reason === 'bye:taken-over' ? takenOverMs + jittered : jittered;
  }

  onSettled(device: Owner, pending: Pending, isAnswered: boolean, now: number): void {
    this.pendingCount -= 1;
    if (isAnswered && !device.isFaulty) this.pauses?.note(device.index, now - pending.sentMs);
    if (!isAnswered && pending.kind === KIND.event && this.unacked.length < UNACKED_MAX) {
      this.unacked.push(device.index, pending.number);
    }
    this.onAnswered(device.index, now);
  }

  onQueued(device: Device): void {
    this.#queued.push(device);
  }

  /** Give up what has waited too long. */
  sweep(now: number): void {
    const before = now - this.plan.timeoutMs;
    for (const device of this.devices) if (device.pendingCount > 0) device.expire(before, now);
  }

  /** Give up whatever is unanswered: nobody waits any longer. */
  expireAll(now: number): void {
    const { devices } = this;
    for (const device of devices) device.expire(Number.POSITIVE_INFINITY, now);
  }

  /** End every link; nothing reconnects any more. */
  stop(): void {
    this.#isStopping = true;
    this.pacer.stop();
    for (const device of this.devices) if (device.state !== 'down') device.close('bye');
  }

  #settle(device: Device): void {
    if (device.isSettled) return;
    device.isSettled = true;
    this.#unsettled -= 1;
    if (this.#unsettled === 0) this.onSettledAll();
  }

  #flush(now: number): void {
    const queued = this.#queued;
    for (const device of queued) device.flush(now);
    queued.length = 0;
  }

  #onDue(due: Due, now: number): void {
    const device = this.at(due.device);
    if (due.stamp !== device.link) return;
    if (due.kind === DUE.reconnect) {
      this.start(device, now, now);
    } else if (due.kind === DUE.greeting) {
      if (GREETING_STATES.has(device.state)) device.abandon('no-welcome');
    } else if (due.kind === DUE.keepalive) {
      this.#keepAlive(device, now);
    } else {
      this.onDueElse(due, device, now);
    }
  }

  #keepAlive(device: Device, now: number): void {
    if (device.state !== 'open') return;
    const waitMs = device.keepaliveMs * KEEPALIVE_SHARE;
    let dueMs = device.lastSentMs + waitMs;
    if (dueMs <= now) {
      device.ping();
      dueMs = now + waitMs;
    }
    this.pacer.at(dueMs, DUE.keepalive, device.index, device.link);
  }
}

/** The first connects: device k of the whole plan at k / rate, or all at once. */
class Connects implements Source {
  readonly #fleet: Fleet;
  readonly #startMs: number;
  #at = 0;
  nextMs: number;

  constructor(fleet: Fleet, startMs: number) {
    this.#fleet = fleet;
    this.#startMs = startMs;
    this.nextMs = this.#planned();
  }

  #planned(): number {
    const device = this.#fleet.devices[this.#at];
    if (device === undefined) return Number.POSITIVE_INFINITY;
    const { connectRate } = this.#fleet.plan;
    return this.#startMs + (connectRate === 0 ? 0 : (1_000 * device.index) / connectRate);
  }

  emit(now: number): void {
    const device = this.#fleet.devices[this.#at];
    if (device !== undefined) this.#fleet.start(device, this.nextMs, now);
    this.#at += 1;
    this.nextMs = this.#planned();
  }
}
