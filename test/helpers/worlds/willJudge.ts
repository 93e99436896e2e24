/**
 * Judges wills: which had to be published, by what really happened to links and by what the store
 * was told, in its order; it knows neither the rules' code nor the messages between processes.
 * From: presenceWorld.ts.  To: a failed assertion, with the link that it is about.
 * Bound: none; it remembers every link.
 */
import assert from 'node:assert/strict';
import type { Publishing } from '../../../src/broker/publisher.ts';
import type { Row } from '../../../src/registrar/store/presenceRules.ts';
import type { Batch } from '../../../src/registrar/store/store.ts';
import type { Will } from '../../../src/wire/message.ts';

interface Lived {
  readonly id: string;
  readonly device: string;
  /** When it was accepted, by the store's time too. */
  readonly at: number;
  readonly will?: Will | undefined;
  readonly isCleanStart: boolean;
}

interface Told {
  readonly row: Pick<Row, 'device' | 'connection' | 'online' | 'reason'>;
  readonly at: number;
}

export class WillJudge {
  readonly #links = new Map<string, Lived>();
  readonly #goodbyes = new Set<string>();
  readonly #killed = new Set<string>();
  /** Told of by what names their wills only. */
  readonly #byHash = new Set<string>();
  /** What was recorded of each device, in order. */
  readonly #told = new Map<string, Told[]>();
  /** By link: when its will was put into the outbox. */
  readonly #outbox = new Map<string, number>();
  readonly #keptOnce = new Set<string>();
  /** By message id. */
  readonly #words = new Map<string, string>();

  onAccept(link: Lived): void {
    this.#links.set(link.id, link);
  }

  onGoodbye(id: string): void {
    this.#goodbyes.add(id);
  }

  onKilled(ids: readonly string[]): void {
    for (const id of ids) this.#killed.add(id);
  }

  onHash(id: string): void {
    this.#byHash.add(id);
  }

  onWrite({ events, wills }: Batch, at: number): void {
    for (const { device, body } of events) {
      this.#told.set(device, [...this.#of(device), { row: JSON.parse(body) as Row, at }]);
    }
    for (const change of wills?.changes ?? []) {
      if (change.what === 'keep') this.#keptOnce.add(change.will.connection);
      if (change.what !== 'publish') continue;
      assert.ok(!this.#outbox.has(change.connection), `${change.connection}: once`);
      this.#outbox.set(change.connection, at);
    }
  }

  #of(device: string): Told[] {
    return this.#told.get(device) ?? [];
  }

  /** It may come twice, and says the same then. */
  onPublished(publishing: Publishing): void {
    const { messageId, headers = {} } = publishing.properties(false) ?? {};
    const word = JSON.stringify([publishing.routingKey, publishing.body.toString(), headers]);
    assert.equal(this.#words.get(String(messageId)) ?? word, word, String(messageId));
    this.#words.set(String(messageId), word);
  }

  /** When nothing changes any more. */
  check(): void {
    for (const link of this.#links.values()) if (link.will) this.#judge(link, link.will);
    assert.equal(this.#words.size, this.#outbox.size, 'what is in the outbox is published');
  }

  #judge(link: Lived, will: Will): void {
    const { id } = link;
    const wasPublished = this.#outbox.has(id);
    if (this.#goodbyes.has(id) && wasPublished) {
      assert.ok(this.#killed.has(id), `${id} said goodbye to an acceptor that lived to tell`);
    }
    if (wasPublished) this.#judgePublished(link, will);
    else this.#judgeSilent(link, will);
  }

  #judgePublished({ id, device, at }: Lived, { delayMs, rules }: Will): void {
    const ended = this.#of(device).find(({ row }) => row.connection === id && !row.online);
    if (rules === 'mqtt') return;
    assert.ok(ended, `${id}: published, so it is on record that it ended`);
    const back = [...this.#links.values()].filter(
      (other) =>
        other.device === device && other.at > at && other.at < ended.at + delayMs && delayMs > 0,
    );
    const recorded = back.filter((other) =>
      this.#of(device).some(({ row }) => row.connection === other.id),
    );
    assert.deepEqual(
      recorded.map((other) => other.id),
      [],
      `${id}: its will was published, and the device was back within ${delayMs}`,
    );
  }

  #judgeSilent({ id, device }: Lived, { rules, delayMs }: Will): void {
    if (this.#goodbyes.has(id)) return;
    const told = this.#of(device);
    const began = told.findIndex(({ row }) => row.connection === id);
    if (began < 0) return;
    const ended = told.findIndex(({ row }) => row.connection === id && !row.online);
    const end = told[ended];
    const next = told.slice(began).find(({ row }) => row.connection !== id);
    if (end === undefined && next === undefined) return;
    if (!this.#keptOnce.has(id)) {
      // Its acceptor died between a hand-over and its answer; or it was over at once.
      const isExcused = this.#byHash.has(id) && this.#killed.has(id);
      assert.ok(isExcused || next, `${id}: its will was lost`);
      return;
    }
    if (next === undefined)
      assert.fail(`${id} ended by ${end?.row.reason}: no will, and no return`);
    if (end !== undefined && delayMs === 0 && next !== undefined) {
      // Both may be in one batch, of which only the last row is written.
      assert.fail(`${id} ended by ${end.row.reason} without a delay: no will`);
    }
    if (rules === 'mqtt' && delayMs === 0) assert.fail(`${id}: a takeover, and no will`);
  }
}
