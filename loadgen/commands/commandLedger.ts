/**
 * Command ledger: every command that one worker published, who acted on it, and what was told.
 * From: commands.ts: publishes, confirms, acts of the devices, outcomes of the broker.
 * To: measures and violations; how many still have no final outcome.
 * Bound: some 200 bytes per command, for the whole run: a second act may come at any time.
 */
import { STATUS } from '../../src/base/errors.ts';
import type { Measures } from '../measure/measures.ts';
import type { Violations } from '../measure/violations.ts';
import { KIND, type Payloads, readMark } from '../plan/payload.ts';
import { deviceId, type Plan } from '../plan/plan.ts';

/** A command as it was published. */
export interface Published {
  /** Unique in the run, rising: what its payload and its correlation id say. */
  readonly number: number;
  /** Index of its device. */
  readonly device: number;
  readonly isKept: boolean;
  readonly plannedMs: number;
  /** After this the server has to have told a final outcome. */
  readonly dueMs: number;
  /** Its device had a link then, and no fault: the times say something about the server. */
  readonly isTimed: boolean;
}

/** An outcome, as it arrived. */
export interface Outcome {
  readonly type: string;
  readonly status: number | undefined;
  readonly reason: string;
  readonly payload: Buffer;
}

interface Entry extends Published {
  acts: number;
  /** The final outcome in words; '' while there is none. */
  final: string;
}

/** What became of a publish: the broker refused it, or went away before it said anything. */
export type Unpublished = 'nacked' | 'unsure';

/** After these it is certain that nobody acts. */
const CERTAIN = /^(?:offline|refused|expired not-sent|nacked)/;

export interface CommandLedgerHost {
  readonly plan: Plan;
  readonly payloads: Payloads;
  readonly measures: Measures;
  readonly violations: Violations;
}

export class CommandLedger {
  readonly #host: CommandLedgerHost;
  readonly #entries = new Map<number, Entry>();
  /** Without a final outcome; in the order of their numbers. */
  readonly #open = new Map<number, Entry>();
  /** The last kept command that each device acted on. */
  readonly #lastKept = new Map<number, number>();

  constructor(host: CommandLedgerHost) {
    this.#host = host;
  }

  /** Commands without a final outcome. */
  get openCount(): number {
    return this.#open.size;
  }

  onPublished(published: Published): void {
    const entry = { ...published, acts: 0, final: '' };
    this.#entries.set(entry.number, entry);
    this.#open.set(entry.number, entry);
    this.#host.measures.counts.commandsPublished += 1;
  }

  /** The broker did not take it, or nobody knows: no outcome is owed. */
  onUnpublished(number: number, fate: Unpublished): void {
    const entry = this.#open.get(number);
    if (entry === undefined) return;
    this.#host.measures.label('outcomes', fate);
    this.#open.delete(number);
    if (fate === 'nacked') entry.final = fate;
  }

  /** Device `index` acts on a command with this payload. */
  onActed(index: number, payload: Buffer, now: number): void {
    const { payloads, measures } = this.#host;
    const mark = readMark(payload);
    // A command of somebody else's is no business of this run.
    if (mark === undefined || !payloads.isOurs(mark) || mark.kind !== KIND.command) return;
    measures.counts.commandsActed += 1;
    const entry = this.#entries.get(mark.number);
    if (mark.device !== index) {
      this.#add('elsewhere', index, () => {
        return `acted on command ${mark.number}, which is for ${deviceId(this.#host.plan, mark.device)}`;
      });
    }
    if (entry === undefined) return;
    entry.acts += 1;
    if (mark.device !== index) return;
    if (entry.acts > 1) this.#add('twice', index, () => `${name(entry)}, act ${entry.acts}`);
    else this.#onFirstAct(entry, payload, now);
  }

  #onFirstAct(entry: Entry, payload: Buffer, now: number): void {
    const { plan, payloads, measures } = this.#host;
    const { number, device, isKept, final } = entry;
    if (!payloads.isSame(payload, device, number, KIND.command, plan.bytes)) {
      this.#add('wrong', device, () => `${name(entry)} came with other bytes`);
    }
    if (entry.isTimed) measures.time('command', now - entry.plannedMs);
    if (final !== '') this.#judgeActed(entry);
    if (!isKept) return;
    const last = this.#lastKept.get(device) ?? 0;
    if (number > last) this.#lastKept.set(device, number);
    else this.#add('disordered', device, () => `${name(entry)} came after command ${last}`);
  }

  /** An outcome came for command `number`. */
  onOutcome(number: number, outcome: Outcome, now: number): void {
    const { measures } = this.#host;
    const entry = this.#entries.get(number);
    const words = wordsOf(outcome);
    if (entry === undefined) {
      const text = `outcome ${words} of command ${number}, which nobody published`;
      this.#host.violations.add('misrouted', '', () => text);
      return;
    }
    if (outcome.type === 'delivered') {
      measures.label('outcomes', words);
      return;
    }
    if (entry.final === '') this.#onFinal(entry, words, outcome, now);
    else if (entry.final === words) {
      this.#add('repeated', entry.device, () => `${name(entry)}: ${words}, again`);
    } else {
      this.#add(
        'contradicted',
        entry.device,
        () => `${name(entry)}: ${entry.final}, then ${words}`,
      );
    }
  }

  #onFinal(entry: Entry, words: string, { type, status, payload }: Outcome, now: number): void {
    const { plan, payloads, measures } = this.#host;
    const { number, device } = entry;
    entry.final = words;
    this.#open.delete(number);
    measures.label('outcomes', words);
    if (type !== 'result') {
      if (entry.acts > 0) this.#judgeActed(entry);
      return;
    }
    if (entry.isTimed) measures.time('outcome', now - entry.plannedMs);
    if (entry.acts === 0) this.#add('unacted', device, () => `${name(entry)}: ${words}`);
    const isSame = payloads.isSame(payload, device, number, KIND.command, plan.bytes);
    if (isSame && status === STATUS.ok) return;
    this.#add('wrong', device, () => `${name(entry)}: ${words}, or another payload`);
  }

  /** Somebody acted, and the sender was told something else than the result. */
  #judgeActed(entry: Entry): void {
    const { device, final } = entry;
    if (final.startsWith('result')) return;
    const violation = CERTAIN.test(final) ? 'denied' : 'unheard';
    this.#add(violation, device, () => `${name(entry)} was acted upon, and told as ${final}`);
  }

  /** Count what has waited longer than `--timeout` for a final outcome; all, for `now` Infinity. */
  expire(now: number): void {
    const before = now - this.#host.plan.timeoutMs;
    for (const [number, entry] of this.#open) {
      if (entry.dueMs >= before) continue;
      this.#open.delete(number);
      const acts = entry.acts === 0 ? 'not acted upon' : 'acted upon';
      this.#add(
        entry.isKept ? 'unsettled' : 'untold',
        entry.device,
        () => `${name(entry)}, ${acts}`,
      );
    }
  }

  #add(violation: Parameters<Violations['add']>[0], device: number, text: () => string): void {
    this.#host.violations.add(violation, deviceId(this.#host.plan, device), text);
  }
}

function name({ number, isKept }: Published): string {
  return `${isKept ? 'kept' : 'transient'} command ${number}`;
}

/** `result`, `result 5`, `refused full`: what may not change from one final outcome to the next. */
function wordsOf({ type, status, reason }: Outcome): string {
  const more = type === 'result' && status !== STATUS.ok ? String(status) : reason;
  return more === '' ? type : `${type} ${more}`;
}
