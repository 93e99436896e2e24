/**
 * Links move between real processes, with their handles, by way of a third one; and one of the two
 * is killed at each step of it: what the other has goes on, byte for byte, and nothing hangs.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { Device, END, event, hello, request } from '../helpers/fakes/device.ts';
import { type Death, MoveRelay } from '../helpers/processes/moveRelay.ts';
import { waitFor } from '../helpers/waitFor.ts';

const DEVICES = 12;

/** A device that sends the next message when the last was answered, until its link ends. */
class Talker {
  readonly device: Device;
  readonly wrong: string[] = [];
  answered = 0;
  isOver = false;

  constructor(device: Device) {
    this.device = device;
    void this.#talk();
  }

  /** EVENT and REQUEST in turn; each answer comes once, and in order. */
  async #talk(): Promise<void> {
    for (let id = 1; ; id += 1) {
      this.device.send(id % 2 === 0 ? request(id, 'door.badge', `${id}`) : event(id));
      const item = await this.device.next();
      if (item === END || item.type === TYPE.BYE) break;
      const isRight =
        (item.type === TYPE.ACK && id % 2 === 1 && item.id === id) ||
        (item.type === TYPE.REPLY && item.id === id && item.payload.toString() === `${id}`);
      if (!isRight) this.wrong.push(`${id}: ${JSON.stringify(item)}`);
      this.answered = id;
    }
    this.isOver = true;
  }
}

async function opened(port: number, path: string, id: string): Promise<Device> {
  const socket = path === '' ? connect({ host: '127.0.0.1', port }) : connect({ path });
  await once(socket, 'connect');
  const device = new Device(socket);
  device.send(hello(id));
  await device.expect(TYPE.WELCOME);
  return device;
}

async function begin(t: Test, isUnix: boolean, death?: Death) {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-moves-'));
  const path = isUnix ? join(folder, 'devices') : '';
  const relay = new MoveRelay(death);
  t.teardown(async () => {
    await relay.end();
    rmSync(folder, { recursive: true });
  });
  const port = await relay.begin(path);
  const names = Array.from({ length: DEVICES }, (_, at) => `door-${at}`);
  const devices = await Promise.all(names.map((name) => opened(port, path, name)));
  t.teardown(() => {
    for (const device of devices) device.close();
  });
  return { relay, talkers: devices.map((device) => new Talker(device)) };
}

/** Each of these has something answered that it had not sent yet. */
async function goesOn(talkers: readonly Talker[]): Promise<void> {
  const marks = talkers.map(({ answered }) => answered);
  await waitFor('every link to go on', () =>
    talkers.every(({ answered, isOver }, at) => isOver || answered >= (marks[at] ?? 0) + 4),
  );
}

for (const isUnix of [false, true]) {
  t.test(`all links move while they talk (${isUnix ? 'Unix' : 'TCP'})`, async (t) => {
    const { relay, talkers } = await begin(t, isUnix);

    relay.move();
    await waitFor('the end of the move', () => relay.figures !== undefined);
    await goesOn(talkers);

    t.match(relay.figures, { moved: DEVICES, drained: 0, left: 0 });
    t.equal(relay.links('after'), DEVICES);
    relay.kill('before');
    await waitFor('its end', () => relay.isGone('before'));
    await goesOn(talkers);
    t.same(
      talkers.flatMap(({ wrong }) => wrong),
      [],
    );
    t.notOk(talkers.some(({ isOver }) => isOver));
  });
}

const DEATHS: readonly Death[] = [
  { of: 'before', at: 'offer', times: 3, isPassedOn: false },
  { of: 'before', at: 'ready', times: 3, isPassedOn: false },
  { of: 'before', at: 'go', times: 5, isPassedOn: true },
  { of: 'after', at: 'offer', times: 3, isPassedOn: true },
  { of: 'after', at: 'ready', times: 3, isPassedOn: false },
  { of: 'after', at: 'go', times: 5, isPassedOn: false },
];

for (const [nth, death] of DEATHS.entries()) {
  const { of, at, isPassedOn } = death;
  const isUnix = nth % 2 === 1;
  const other = of === 'before' ? 'after' : 'before';
  const when = `${isPassedOn ? 'after' : 'before'} a word of ${at} is passed on`;
  t.test(`the one ${of} is killed ${when} (${isUnix ? 'Unix' : 'TCP'})`, async (t) => {
    const { relay, talkers } = await begin(t, isUnix, death);

    relay.move();
    await waitFor('the end of one', () => relay.isGone(of));
    await waitFor('one link for each that lives', () => {
      const alive = talkers.filter(({ isOver }) => !isOver).length;
      return alive === relay.links(other);
    });
    await goesOn(talkers);

    const alive = talkers.filter(({ isOver }) => !isOver).length;
    // Only what the one that died alone held is lost: what it had been given, or had not offered.
    t.ok(alive >= 2, `${alive} of ${DEVICES}`);
    t.equal(relay.links(other), alive, 'and each of them is held by the other');
    t.same(
      talkers.flatMap(({ wrong }) => wrong),
      [],
    );
  });
}
