/**
 * WillTrace: what became of one device's wills, as a TLA+ module for WillTrace.tla to judge.
 * From: JSON lines, as trace.ts has them.  To: the module's text and its .cfg.
 * Bound: links that do not move, and takeovers that are not slowed down, as Will.tla has neither.
 *
 * Links, lives and deaths are in presence's own lines (see trace.ts). Besides those, each with the
 * prefix `Will!`, and with the link's connection where not said otherwise:
 *
 *   acceptor   Leave       rules: 'own', 'mqtt', or 'none' of a link without a will; isDelayed,
 *                          isCleanStart. Before its Accept; absent for most links without a will
 *              TellWill    it was asked for it
 *              TellAll     mark; no connection
 *   registrar  Ask         mark: its delay has passed, and all acceptors are asked
 *              Keep, Drop, Wait, Out       by the line before, in the transaction of its batch
 *              HearWill, Due               of a batch, too, with what follows from them
 *              HearAllTold acceptor, mark; of a batch; no connection
 *              Publish, Confirm
 *
 * That the registrar died is put in before the first sign of it: a stream that is lost after its
 * last line, or another registrar. What an exit does to a row happens with its Down.
 */
import {
  Acceptors,
  append,
  moduleOf,
  NotModelled,
  type Step,
  type TraceLine,
  type TraceModule,
  text,
} from './trace.ts';

const PREFIX = 'Will!';

interface Link {
  readonly c: number;
  readonly acceptor: number;
  readonly rules: string;
}

/** What a link's will is then, to Will.tla. */
const STANDS: Readonly<Record<string, string>> = {
  Keep: 'kept',
  Drop: 'none',
  Wait: 'waits',
  Out: 'out',
};
const BY_ACCEPTOR = ['Connect', 'HandOverEnd'];
const EXITS = ['AcceptorExit', 'ExitSeen'];
const OF_LINK = ['HandOver', 'WriteUp', 'WriteDown', 'TellWill'];
const MOVES = ['Offer', 'Adopt', 'TakeGo'];
const ENDED = ['acceptor-ended', 'node-ended'];

class Generator {
  readonly steps: Step[] = [];
  readonly #device: string;
  /** By connection: what it leaves; of every device. */
  readonly #left: ReadonlyMap<string, TraceLine>;
  /** By process: when the registrar wrote its last line. */
  readonly #lastUs: ReadonlyMap<string, number>;
  readonly #links = new Map<string, Link>();
  readonly #acceptors = new Acceptors(this.steps);
  #lastAcceptedUs = 0;
  /** What the registrar has done since its last Commit. */
  #batch: Step[] = [];
  /** By link: how its will stands behind the last step of the batch, if that changed it. */
  #stands = new Map<number, string>();
  #registrar = '';
  /** Acceptors that have a stream to it. */
  readonly #streams = new Set<string>();
  /** The specification begins with one, so the first one's start is no step. */
  #isFirst = true;
  /** Of the question that is open: which one, and what it is about. */
  #mark = 0;
  #asked = new Set<number>();
  /** Those that were decided in this batch. */
  readonly #decided = new Set<number>();

  constructor(device: string, lines: readonly TraceLine[]) {
    this.#device = device;
    const leaves = lines.filter(({ action }) => action === 'Will!Leave');
    this.#left = new Map(leaves.map((line) => [text(line.connection), line]));
    this.#lastUs = new Map(lines.map(({ process, us }) => [process, us]));
  }

  #step(action: string, fields: Step | object = {}): void {
    this.steps.push({ action, skip: 0, ...fields });
  }

  get acceptors(): number {
    return this.#acceptors.count;
  }

  add(line: TraceLine): void {
    const { action: full } = line;
    const isOurs = full.startsWith(PREFIX);
    if (!isOurs && full.includes('!')) return;
    const action = isOurs ? full.slice(PREFIX.length) : full;
    const link = this.#links.get(text(line.connection));
    if (isOurs) this.#ofWill(action, line, link);
    else if (action === 'Accept') this.#accept(line);
    else if (link) this.#ofLink(action, line, link);
    else if (line.connection === undefined) this.#life(action, line);
  }

  // Lives and deaths.

  #life(action: string, line: TraceLine): void {
    if (action === 'NodeStart') this.#nodeStart();
    else if (action === 'RegistrarStart') this.#registrarStart(line.process);
    else if (action === 'StreamLost') this.#streamLost(line);
    else if (EXITS.includes(action)) this.#acceptors.exitOf(text(line.acceptor));
    else if (BY_ACCEPTOR.includes(action)) {
      this.#streams.add(line.process);
      this.#step(action, { acceptor: this.#acceptors.of(line.process) });
    } else if (action === 'HandedOver') {
      this.#inBatch({ action, skip: 0, acceptor: this.#acceptors.of(text(line.acceptor)) });
    } else if (action === 'Commit') this.#commit(true);
    else if (action === 'Rollback') this.#rollback();
    else if (action === 'Rest') this.#step('Rest');
  }

  /** All that ran before has ended. */
  #nodeStart(): void {
    this.#crash();
    for (const acceptor of [...this.#acceptors.alive]) this.#acceptors.exit(acceptor);
  }

  #registrarStart(process: string): void {
    this.#crash();
    if (!this.#isFirst) this.#step('RegistrarStart');
    this.#isFirst = false;
    this.#registrar = process;
  }

  #streamLost({ us, process }: TraceLine): void {
    if (!this.#streams.delete(process)) return;
    if (us < Number(this.#lastUs.get(this.#registrar))) {
      throw new NotModelled('a stream was lost, and both its ends live on');
    }
    this.#crash();
  }

  #crash(): void {
    this.#commit(false);
    this.#asked.clear();
    this.#streams.clear();
    if (this.#registrar === '') return;
    this.#registrar = '';
    this.#step('RegistrarCrash');
  }

  // Links.

  #accept(line: TraceLine): void {
    if (line.device !== this.#device) return;
    const acceptedUs = Number(line.acceptedUs ?? line.us);
    if (acceptedUs < this.#lastAcceptedUs) {
      throw new NotModelled('links of one device opened in another order than they came');
    }
    this.#lastAcceptedUs = acceptedUs;
    const acceptor = this.#acceptors.of(line.process);
    const connection = text(line.connection);
    const left: Partial<TraceLine> = this.#left.get(connection) ?? {};
    const { rules = 'none', isDelayed, isCleanStart } = left;
    const link = { c: this.#links.size + 1, acceptor, rules: text(rules) };
    this.#links.set(connection, link);
    const [delayed, clean] = [isDelayed, isCleanStart].map((is) => (is === true ? 1 : 0));
    this.#step('Accept', { acceptor, rules: link.rules, delayed, clean });
  }

  #ofLink(action: string, line: TraceLine, { c, acceptor, rules }: Link): void {
    if (action === 'End') this.#step('End', { c, reason: text(line.reason) });
    else if (OF_LINK.includes(action)) this.#step(action, { c });
    else if (action === 'Hold') throw new NotModelled('takeovers that wait');
    else if (MOVES.includes(action)) throw new NotModelled('links that move');
    else if (action === 'Up') {
      const named = line.seq === undefined ? 0 : 1;
      this.#inBatch({ action, skip: 0, c, acceptor, named });
    } else if (action === 'Down') this.#down(line, { c, acceptor, rules });
  }

  #down({ reason, seq }: TraceLine, { c, acceptor, rules }: Link): void {
    const isSwept = ENDED.includes(text(reason));
    const isUnseen = isSwept || reason === 'missed';
    // A row that names another link by now: nothing was done.
    if (isUnseen && seq === undefined) return;
    if (isSwept) {
      this.#acceptors.exit(acceptor);
      this.#inBatch({ action: 'ExitSeen', skip: 0, c, acceptor });
    } else if (!isUnseen) this.#inBatch({ action: 'Down', skip: 0, c, acceptor });
    else if (rules !== 'none') throw new NotModelled('an end that its acceptor has forgotten');
  }

  // The registrar.

  #inBatch(step: Step): void {
    this.#stands = new Map();
    this.#batch.push({ wills: [], ...step });
  }

  /** By the last step of the batch. */
  #stand(action: string, { c }: Link): void {
    const step = this.#batch.at(-1);
    if (step === undefined) throw new Error(`a will changed by no step: ${action} of link ${c}`);
    this.#stands.set(c, text(STANDS[action]));
    step.wills = [...this.#stands].map(([of, is]) => ({ c: of, is }));
  }

  #rollback(): void {
    for (const c of this.#decided) this.#asked.add(c);
    this.#decided.clear();
    this.#batch = [];
  }

  /** `isSure`: it is known to have happened. */
  #commit(isSure: boolean): void {
    append(this.steps, this.#batch, isSure);
    this.#batch = [];
    this.#decided.clear();
  }

  finish(): void {
    this.#commit(false);
  }

  // Wills.

  #ofWill(action: string, line: TraceLine, link: Link | undefined): void {
    if (action === 'TellAll') this.#tellAll(line);
    else if (action === 'HearAllTold') this.#hearAllTold(line);
    else if (link === undefined) return;
    else if (action in STANDS) this.#stand(action, link);
    else if (action === 'Ask') this.#ask(Number(line.mark), link);
    else if (action === 'Due') this.#due(link);
    else if (action === 'HearWill') {
      this.#inBatch({ action, skip: 0, c: link.c, acceptor: link.acceptor });
    } else if (action !== 'Leave') this.#step(action, { c: link.c });
  }

  #ask(mark: number, { c }: Link): void {
    const last = this.steps.at(-1);
    if (this.#asked.size > 0 && mark !== this.#mark) return;
    this.#mark = mark;
    this.#asked.add(c);
    if (last?.action === 'Ask') last.due = [...this.#asked].map((of) => ({ c: of }));
    else this.#step('Ask', { due: [{ c }] });
  }

  #tellAll({ mark, process }: TraceLine): void {
    if (this.#asked.size === 0 || mark !== this.#mark) return;
    this.#step('TellAll', { acceptor: this.#acceptors.of(process) });
  }

  #hearAllTold({ mark, acceptor }: TraceLine): void {
    if (this.#asked.size === 0 || mark !== this.#mark) return;
    const number = this.#acceptors.of(text(acceptor));
    this.#inBatch({ action: 'HearAllTold', skip: 0, acceptor: number });
  }

  /** All that are due, at once. */
  #due({ c }: Link): void {
    if (!this.#asked.delete(c)) return;
    this.#decided.add(c);
    if (this.#batch.at(-1)?.action !== 'Due') this.#inBatch({ action: 'Due', skip: 0 });
  }
}

/** Devices that have left a will. */
export function willedDevices(lines: readonly TraceLine[]): string[] {
  const willed = new Set<unknown>();
  for (const { action, rules, connection } of lines) {
    if (action === 'Will!Leave' && rules !== 'none') willed.add(connection);
  }
  const of = lines.filter(
    ({ action, connection }) => action === 'Accept' && willed.has(connection),
  );
  return [...new Set(of.map(({ device }) => text(device)))];
}

/**
 * The module `name` of these lines, and the .cfg to check it with; it extends WillTrace. Throws on
 * a line that cannot be of such a trace; NotModelled on one that it cannot judge.
 */
export function willModule(name: string, lines: readonly TraceLine[], device: string): TraceModule {
  const sorted = lines.toSorted((a, b) => a.us - b.us);
  const generator = new Generator(device, sorted);
  for (const line of sorted) generator.add(line);
  generator.finish();
  const { steps, acceptors } = generator;
  const numbers = Array.from({ length: acceptors }, (_, at) => at + 1);
  const config = CONFIG.replace('ACCEPTORS', numbers.join());
  return { module: moduleOf(name, 'WillTrace', {}, steps), config, steps };
}

const CONFIG = `CONSTANTS
  Lines <- TheLines
  Acceptors = {ACCEPTORS}
  Accepts = 1000000
  Delays = {}
  Rules = {}
  Cleans = {}
  Kinds = {"registrar", "acceptor"}
  Faults = 1000000
  Without = "nothing"
SPECIFICATION TraceSpec
CHECK_DEADLOCK FALSE
`;
