/**
 * Trace: lines that the real processes wrote, as a TLA+ module for PresenceTrace.tla to judge.
 * From: JSON lines, any number of files, in any order.  To: the module's text and its .cfg.
 * Bound: TLC copies its state at each line; some thousand lines are a minute's work.
 *
 * A line is one protocol step, named as its action in Presence.tla:
 *   {"us": 81, "process": "...", "action": "Up", "connection": "...", "device": "d", "seq": 4}
 * `us` is the machine's monotonic clock, one for all processes; a line is written when the step is
 * done and before anybody else can see it. `process` is the acceptor's incarnation; lines of
 * any other process name the acceptor they speak of, or a connection. By whom, and what else:
 *
 *   acceptor   Accept      connection, device, acceptedUs: the link is open
 *              End         connection, reason: it is closed ('taken-over': by a notice)
 *              Connect, HandOverEnd, StreamLost
 *              HandOver, WriteUp, WriteDown      connection: written to the stream
 *   a move     Offer, Cancel, Go, ReadOn         connection: by the predecessor; ReadOn when the
 *                          successor has dropped it
 *              Doom        connection: a notice came for it while it was offered; its End follows
 *              SuccessorGone                     what is only offered is read again, or closed if
 *                          doomed: by this line, none of their own follow
 *              Adopt, Refuse, TakeGo, Drop       connection: by the successor
 *              PredecessorGone                   what is adopted is read, by this line
 *              TellHeir                          written to the stream
 *   registrar  RegistrarStart                    before acceptors can connect
 *              Up          connection, device, seq of the row, absent when it did not change
 *              Hold        connection, device: an up that has to wait, or lost to one that waits
 *              Down        connection, device, reason, seq as above; for 'missed',
 *                          'acceptor-ended' and 'node-ended' no acceptor has said so
 *              HandedOver  acceptor: its hand-over is complete
 *              Heir        acceptor: it has told all that it has of its predecessor
 *              ExitSeen    acceptor: nothing of its stream is judged from here on
 *                          Up, Hold and Down of an acceptor's own words also acceptor, once links
 *                          move: who said so; without, who accepted the link
 *              Commit, Rollback                  all of the six kinds above since the last of
 *                          these lines has happened, all at once; or has not
 *              Publish, Confirm                  device, seq of the event
 *              Compact
 *   supervisor NodeStart                         all that ran before has ended; the first of them
 *                          is the beginning
 *              AcceptorExit acceptor: it was seen to end
 *              SuccessorStart acceptor, of: a new acceptor, to which the links of that one move
 *              Join        acceptor, of: one that runs already, to which they move
 *   a test     Rest        at the end, when all is quiet: every row has to be right
 *
 * `Commands!<Action>` and `Will!<Action>` are steps of other protocols, and none here: see
 * commandTrace.ts and willTrace.ts.
 *
 * What nobody logs is put in: AcceptorStart before an incarnation's first line, AcceptorExit
 * before its exit is recorded, RegistrarCrash before another RegistrarStart.
 */

export interface TraceLine {
  readonly us: number;
  readonly process: string;
  readonly action: string;
  readonly [field: string]: unknown;
}

/** A line of the module. */
export type Step = Record<string, Value> & { action: string };
type Plain = string | number;
/** Or a sequence of records. */
type Value = Plain | readonly Readonly<Record<string, Plain>>[];

export interface TraceModule {
  readonly module: string;
  readonly config: string;
  /** The steps that are judged; TLC prints how many of them it can explain. */
  readonly steps: readonly Step[];
}

/** The trace may be a behaviour, but its specification is too small to say so. */
export class NotModelled extends Error {}

const BY_ACCEPTOR = ['Connect', 'HandOver', 'HandOverEnd', 'WriteUp', 'WriteDown', 'StreamLost'];
const BY_PREDECESSOR = ['Offer', 'Cancel', 'Go', 'ReadOn', 'Doom', 'SuccessorGone'];
const BY_SUCCESSOR = ['Adopt', 'Refuse', 'TakeGo', 'Drop', 'PredecessorGone', 'TellHeir'];
const OF_MOVES = [...BY_PREDECESSOR, ...BY_SUCCESSOR];
const IN_BATCH = ['Up', 'Hold', 'Down', 'HandedOver', 'ExitSeen', 'Heir'];
/** Of these, those that are about an acceptor, not about a link. */
const OF_ACCEPTOR = ['HandedOver', 'ExitSeen', 'Heir'];
const UNSEEN: Readonly<Record<string, string>> = {
  missed: 'Missed',
  'acceptor-ended': 'AcceptorEnded',
  'node-ended': 'AcceptorEnded',
};

/** The lines of a file. Throws on a line that is none, but for a last one that was cut off. */
export function parseTrace(text: string): TraceLine[] {
  const lines = text.split('\n');
  const tail = lines.pop() ?? '';
  if (tail !== '' && isJson(tail)) lines.push(tail);
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as TraceLine);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export const text = (value: unknown) => String(value ?? '');

/** Acceptors, by their incarnations. What nobody logs of their lives is put into the steps. */
export class Acceptors {
  /** Those whose exit nobody has seen. */
  readonly alive = new Set<number>();
  readonly #numbers = new Map<string, number>();
  readonly #steps: Step[];

  constructor(steps: Step[]) {
    this.#steps = steps;
  }

  get count(): number {
    return this.#numbers.size;
  }

  /** Its number; its start is put in when it is new. */
  of(incarnation: string): number {
    return this.#numbers.get(incarnation) ?? this.start(incarnation, { action: 'AcceptorStart' });
  }

  /** A new one, by this step. */
  start(incarnation: string, step: Step): number {
    const acceptor = this.#numbers.size + 1;
    this.#numbers.set(incarnation, acceptor);
    this.alive.add(acceptor);
    this.#steps.push({ ...step, acceptor, skip: 0 });
    return acceptor;
  }

  /** At the first sign of it. */
  exit(acceptor: number): void {
    if (!this.alive.delete(acceptor)) return;
    this.#steps.push({ action: 'AcceptorExit', acceptor, skip: 0 });
  }

  /** One that never wrote a line is not worth a step. */
  exitOf(incarnation: string): void {
    const acceptor = this.#numbers.get(incarnation);
    if (acceptor !== undefined) this.exit(acceptor);
  }
}

class Generator {
  readonly steps: Step[] = [];
  readonly devices = new Set<string>();
  readonly #acceptors = new Acceptors(this.steps);
  readonly #connections = new Map<string, { number: number; acceptor: number; device: string }>();
  readonly #ticks: ReadonlyMap<string, number>;
  /** What the registrar has done since its last Commit. */
  #batch: Step[] = [];
  /** The specification begins with one, so the first one's start is no step. */
  #registrar: 'first' | 'up' | 'down' = 'first';
  #hasBegun = false;

  constructor(lines: readonly TraceLine[]) {
    const accepted = lines.filter(({ action }) => action === 'Accept');
    const when = (line: TraceLine) => Number(line.acceptedUs ?? line.us);
    accepted.sort(
      (a, b) => when(a) - when(b) || (text(a.connection) < text(b.connection) ? -1 : 1),
    );
    this.#ticks = new Map(accepted.map(({ connection }, at) => [text(connection), at + 1]));
  }

  #step(action: string, fields: Record<string, string | number> = {}): void {
    this.steps.push({ action, skip: 0, ...fields });
  }

  #link(line: TraceLine) {
    const link = this.#connections.get(text(line.connection));
    if (!link)
      throw new Error(`a line names a link that was never accepted: ${JSON.stringify(line)}`);
    const { number: connection, acceptor, device } = link;
    return { connection, acceptor, device };
  }

  add(line: TraceLine): void {
    const { action } = line;
    if (action === 'NodeStart') this.#nodeStart();
    else if (action === 'RegistrarStart') this.#registrarStart();
    else if (action === 'Accept') this.#accept(line);
    else if (action === 'End') this.#end(line);
    else if (action === 'AcceptorExit') this.#acceptors.exitOf(text(line.acceptor));
    else if (action === 'SuccessorStart') this.#successorStart(line);
    else if (action === 'Join') this.#join(line);
    else if (BY_ACCEPTOR.includes(action) || OF_MOVES.includes(action)) this.#byAcceptor(line);
    else if (IN_BATCH.includes(action)) this.#inBatch(line);
    else if (action === 'Commit') this.#commit(true);
    else if (action === 'Rollback') this.#batch = [];
    else if (action === 'Compact' || action === 'Rest') this.#step(action);
    else if (action === 'Publish' || action === 'Confirm') {
      const device = text(line.device);
      this.devices.add(device);
      this.#step(action, { device, seq: Number(line.seq) });
    } else throw new Error(`no such action: ${JSON.stringify(line)}`);
    this.#hasBegun = true;
  }

  /** The first one is the beginning. */
  #nodeStart(): void {
    if (!this.#hasBegun) return;
    this.finish();
    this.#step('NodeStart');
    this.#acceptors.alive.clear();
    this.#registrar = 'down';
  }

  #registrarStart(): void {
    this.finish();
    if (this.#registrar === 'up') this.#step('RegistrarCrash');
    if (this.#registrar !== 'first') this.#step('RegistrarStart');
    this.#registrar = 'up';
  }

  #accept(line: TraceLine): void {
    const [connection, device] = [text(line.connection), text(line.device)];
    const acceptor = this.#acceptors.of(line.process);
    const number = this.#connections.size + 1;
    this.#connections.set(connection, { number, acceptor, device });
    this.devices.add(device);
    this.#step('Accept', { acceptor, device, tick: this.#ticks.get(connection) ?? 0 });
  }

  #end(line: TraceLine): void {
    const { connection } = this.#link(line);
    this.#step(line.reason === 'taken-over' ? 'TakeOver' : 'End', { connection });
  }

  #byAcceptor(line: TraceLine): void {
    const acceptor = this.#acceptors.of(line.process);
    const link = line.connection === undefined ? {} : this.#link(line);
    this.#step(line.action, { ...link, acceptor });
  }

  #successorStart(line: TraceLine): void {
    const of = this.#acceptors.of(text(line.of));
    this.#acceptors.start(text(line.acceptor), { action: 'SuccessorStart', of });
  }

  #join(line: TraceLine): void {
    const of = this.#acceptors.of(text(line.of));
    this.#step('Join', { acceptor: this.#acceptors.of(text(line.acceptor)), of });
  }

  #inBatch(line: TraceLine): void {
    const { action } = line;
    if (OF_ACCEPTOR.includes(action)) {
      this.#batch.push({ action, acceptor: this.#acceptors.of(text(line.acceptor)), skip: 0 });
      return;
    }
    // A predecessor says so itself of links that have ended with its successor.
    const isUnseen =
      action === 'Down' && text(line.reason) in UNSEEN && line.acceptor === undefined;
    // A row that names another link by now: nothing was done.
    if (isUnseen && line.seq === undefined) return;
    const named = isUnseen ? UNSEEN[text(line.reason)] : action;
    const seq = line.seq === undefined ? 0 : Number(line.seq);
    const isNamed = line.acceptor !== undefined;
    const by = isNamed && { acceptor: this.#acceptors.of(text(line.acceptor)) };
    this.#batch.push({ action: text(named), ...this.#link(line), ...by, seq, skip: 0 });
  }

  /** `isSure`: it is known to have happened. */
  #commit(isSure: boolean): void {
    for (const { action, acceptor } of this.#batch) {
      if (action === 'ExitSeen') this.#acceptors.exit(Number(acceptor));
    }
    append(this.steps, this.#batch, isSure);
    this.#batch = [];
  }

  /** The registrar died, or the trace ends, before it could say that its batch was committed. */
  finish(): void {
    this.#commit(false);
  }
}

/** The steps of a transaction. Unless it is sure, the first says how many to skip with it. */
export function append(steps: Step[], batch: readonly Step[], isSure: boolean): void {
  const [first] = batch;
  if (first && !isSure) first.skip = batch.length;
  steps.push(...batch);
}

function literal(value: Value): string {
  if (typeof value === 'object') return `<<${value.map(record).join(', ')}>>`;
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}

function record(fields: Readonly<Record<string, Value>>): string {
  const all = Object.entries(fields).map(([field, value]) => `${field} |-> ${literal(value)}`);
  return `[${all.join(', ')}]`;
}

/**
 * The module `name` of these lines, and the .cfg to check it with; it extends PresenceTrace.
 * Throws on a line that cannot be of such a trace.
 */
export function traceModule(name: string, lines: readonly TraceLine[]): TraceModule {
  const ours = lines.filter(({ action }) => !action.includes('!'));
  const sorted = ours.sort((a, b) => a.us - b.us);
  const generator = new Generator(sorted);
  for (const line of sorted) generator.add(line);
  generator.finish();
  const { steps } = generator;
  const sets = { TheDevices: [...generator.devices] };
  return { module: moduleOf(name, 'PresenceTrace', sets, steps), config: CONFIG, steps };
}

/** A module that extends `base` by sets of names, and the steps as TheLines. */
export function moduleOf(
  name: string,
  base: string,
  sets: Readonly<Record<string, readonly string[]>>,
  steps: readonly Step[],
): string {
  const records = steps.map((step) => `  ${record(step)}`);
  const definitions = Object.entries(sets).map(
    ([set, members]) => `${set} == {${members.map(literal).join(', ')}}`,
  );
  return `---- MODULE ${name} ----
EXTENDS ${base}
${definitions.join('\n')}
TheLines == <<
${records.join(',\n')}
>>
====
`;
}

const CONFIG = `CONSTANTS
  Devices <- TheDevices
  Lines <- TheLines
  Early = {}
  Late = {}
  Acceptors = 2000000
  Accepts = 0
  Kinds = {"registrar", "acceptor", "stream", "node", "cancel", "refuse"}
  Faults = 1000000
  Reloads = 1000000
  Fewer = 1000000
  OutboxMax = 0
  Damps = TRUE
  Events = TRUE
  Without = "nothing"
SPECIFICATION TraceSpec
CHECK_DEADLOCK FALSE
`;
