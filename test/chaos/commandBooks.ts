/**
 * Command books: every command of a run, who acted upon it, and what its sender was told. Pure.
 * From: ledger entries, each device's and each commander's in its order.
 * To: findings, each a broken promise of docs/commands.md; figures.
 * Bound: some 200 bytes for each command, and EXAMPLES_MAX examples of each finding.
 */
import { STATUS } from '../../src/base/errors.ts';
import type { Span } from './books.ts';
import { Findings } from './findings.ts';
import { commandName, type Entry } from './ledger.ts';

/** Each is a promise of docs/commands.md that was not kept. */
const FINDINGS = {
  actedTwice: 'commands acted upon twice',
  cameTwice: 'transient commands that came to their device twice',
  elsewhere: 'commands acted upon by another device than theirs',
  overtaken: 'kept commands acted upon after a later one of their device',
  contradicted: 'commands with two different final outcomes',
  denied: 'commands acted upon, and told as never sent',
  unacted: 'commands told as done, and acted upon by nobody',
  altered: 'results with another payload or status than the device gave',
  unsettled: 'kept commands at the broker without a final outcome',
  untold: 'transient commands without one, though nothing failed meanwhile',
  unsaid: 'acts and outcomes of commands that nobody published',
} as const;
export type CommandFinding = keyof typeof FINDINGS;

export interface CommandRules {
  /** Faults, each with the time that everything then takes to come back. */
  readonly outages: readonly Span[];
  /** What an outcome may take beyond the deadline. */
  readonly graceMs: number;
}

/** After these it is certain that nobody acts. */
const CERTAIN = /^(?:offline|refused|expired not-sent)/;

interface Command {
  readonly number: number;
  device: number;
  isKept: boolean;
  at: number;
  /** Undefined: nobody published it. */
  due: number | undefined;
  /** The broker had it for certain. */
  isConfirmed: boolean;
  isNacked: boolean;
  /** Published a second time: its place in the queue is not known. */
  isAgain: boolean;
  acts: number;
  /** It came to its device again, which did not act. */
  known: number;
  /** The final outcome in words; '' while there is none. */
  final: string;
  /** When its sender heard of a result; Infinity: of none. */
  resultAt: number;
}

/** One command, and how long it took until its sender had the result. */
export interface CommandTiming {
  readonly device: number;
  readonly at: number;
  /** Infinity: it came to another end, or to none. */
  readonly tookMs: number;
}

export class CommandBooks {
  readonly counts = {
    kept: 0,
    transient: 0,
    /** Nobody knows whether the broker had them: no outcome is owed. */
    unsure: 0,
    nacked: 0,
    acts: 0,
    /** Came again under a known key. */
    known: 0,
    delivered: 0,
    /** Final outcomes that were told once more. */
    repeated: 0,
    /** Transient commands without a final outcome: their Owsla process died. */
    lost: 0,
    /** Acted upon, and told as expired since the result never came. */
    unheard: 0,
  };
  /** Final outcomes by their words. */
  readonly outcomes = new Map<string, number>();
  readonly findings = new Findings(FINDINGS);
  readonly #commands = new Map<number, Command>();
  /** The last kept command that each device acted upon. */
  readonly #lastKept = new Map<number, number>();
  /** Acts, in the order of each device. */
  readonly #acts: Extract<Entry, { what: 'act' | 'known' }>[] = [];

  constructor(entries: Iterable<Entry>) {
    for (const entry of entries) this.#add(entry);
  }

  #add(entry: Entry): void {
    switch (entry.what) {
      case 'command':
        this.counts[entry.isKept ? 'kept' : 'transient'] += 1;
        Object.assign(this.#command(entry.number), entry);
        return;
      case 'again':
        this.#command(entry.number).isAgain = true;
        return;
      case 'confirmed':
        this.#command(entry.number).isConfirmed = true;
        return;
      case 'nacked':
        this.#command(entry.number).isNacked = true;
        return;
      case 'told':
        this.#told(entry);
        return;
      case 'act':
      case 'known':
        // The commander's file may come after the fleet's: judged when all is known.
        this.#acts.push(entry);
    }
  }

  #command(number: number): Command {
    let command = this.#commands.get(number);
    if (command === undefined) {
      const fates = { isConfirmed: false, isNacked: false, isAgain: false };
      const rest = {
        acts: 0,
        known: 0,
        final: '',
        due: undefined,
        resultAt: Number.POSITIVE_INFINITY,
      };
      command = { number, device: -1, isKept: false, at: 0, ...fates, ...rest };
      this.#commands.set(number, command);
    }
    return command;
  }

  #told(entry: Extract<Entry, { what: 'told' }>): void {
    const { number, type, status, of } = entry;
    const command = this.#command(number);
    if (type === 'delivered') {
      this.counts.delivered += 1;
      return;
    }
    const words = wordsOf(entry);
    if (command.final === words) this.counts.repeated += 1;
    else if (command.final === '') this.outcomes.set(words, (this.outcomes.get(words) ?? 0) + 1);
    else this.findings.find('contradicted', `${number}: ${command.final}, then ${words}`);
    command.final ||= words;
    if (type === 'result') command.resultAt = Math.min(command.resultAt, entry.at);
    const isAltered = type === 'result' && (status !== STATUS.ok || Number(of) !== number);
    if (isAltered) this.findings.find('altered', `${number}: ${words} '${of}'`);
  }

  /** Every command that was published. */
  *timings(): Generator<CommandTiming> {
    for (const { device, at, due, resultAt } of this.#commands.values()) {
      if (due !== undefined) yield { device, at, tookMs: resultAt - at };
    }
  }

  /** Judge every command. Called once, when all is added. */
  close(rules: CommandRules): void {
    for (const act of this.#acts) this.#act(act);
    for (const command of this.#commands.values()) {
      if (command.due === undefined) this.findings.find('unsaid', nameOf(command));
      else this.#judge(command, rules);
    }
  }

  #act({ what, number, device }: Extract<Entry, { what: 'act' | 'known' }>): void {
    const command = this.#command(number);
    if (device !== command.device) {
      this.findings.find('elsewhere', `${nameOf(command)}, by device ${device}`);
    }
    if (what === 'known') {
      command.known += 1;
      this.counts.known += 1;
      return;
    }
    command.acts += 1;
    this.counts.acts += 1;
    if (command.acts > 1 || !command.isKept || command.isAgain) return;
    const last = this.#lastKept.get(device) ?? 0;
    if (number < last) this.findings.find('overtaken', `${nameOf(command)}, after ${last}`);
    else this.#lastKept.set(device, number);
  }

  #judge(command: Command, rules: CommandRules): void {
    const { final, acts, known, isKept } = command;
    const name = nameOf(command);
    if (acts > 1) this.findings.find('actedTwice', `${name}: ${acts} times`);
    if (known > 0 && !isKept) this.findings.find('cameTwice', name);
    if (final === '') this.#judgeSilence(command, rules);
    else if (final.startsWith('result') && acts === 0) {
      this.findings.find('unacted', `${name}: ${final}`);
    } else if (CERTAIN.test(final) && acts > 0) {
      this.findings.find('denied', `${name}: ${final}`);
    } else if (final.startsWith('expired') && acts > 0) {
      this.counts.unheard += 1;
    }
  }

  #judgeSilence(command: Command, { outages, graceMs }: CommandRules): void {
    const { counts, findings } = this;
    const { isConfirmed, isNacked, isKept, at, due = 0 } = command;
    // The process that was about to tell of it may have died.
    const isDisturbed = outages.some(({ from, to }) => from <= due + graceMs && to >= at);
    if (isNacked) counts.nacked += 1;
    else if (!isConfirmed) counts.unsure += 1;
    else if (isKept) findings.find('unsettled', nameOf(command));
    else if (isDisturbed) counts.lost += 1;
    else findings.find('untold', nameOf(command));
  }
}

function nameOf({ number, device, isKept, acts, final }: Command): string {
  const told = final === '' ? 'nothing told' : final;
  return `${commandName(number, device)} (${isKept ? 'kept' : 'transient'}, ${acts} acts, ${told})`;
}

/** `result`, `refused full`: what may not change from one final outcome to the next. */
function wordsOf({ type, status, reason }: Extract<Entry, { what: 'told' }>): string {
  const more = type === 'result' && status !== STATUS.ok ? String(status) : reason;
  return more === '' ? type : `${type} ${more}`;
}
