/** WebSocketLink's rate of frames: what a device can send of what its endpoint never hears. */
import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import { mock } from 'node:test';
import t from 'tap';
import type { WebSocket } from 'ws';
import { WebSocketLink } from '../../src/acceptor/establish/webSocketLink.ts';

const FRAMES = 40;

class FakeWebSocket extends EventEmitter {
  isPaused = false;
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  pong(): void {}
  terminate(): void {}
}

const NO_BYTES = Buffer.alloc(0);
/** Each costs the acceptor a turn of work, and is no byte of MQTT. */
const FLOODS: Readonly<Record<string, readonly unknown[]>> = {
  PINGs: ['ping', NO_BYTES],
  PONGs: ['pong', NO_BYTES],
  'empty messages': ['message', NO_BYTES, true],
};

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
t.afterEach(() => mock.timers.reset());

function linked(): { web: FakeWebSocket; link: WebSocketLink } {
  const web = new FakeWebSocket();
  const limits = { highWaterMark: 1_024, framesPerSecond: FRAMES };
  return { web, link: new WebSocketLink(web as unknown as WebSocket, new Socket(), limits) };
}

for (const [what, [event, ...data]] of Object.entries(FLOODS)) {
  t.test(`a flood of ${what} is not read faster than its rate, and ends nothing`, async (t) => {
    const { web, link } = linked();
    const flood = (count: number) => {
      for (let at = 0; at < count; at += 1) web.emit(String(event), ...data);
    };

    flood(FRAMES);
    t.equal(web.isPaused, false, 'as many as it may send');
    flood(1);
    t.equal(web.isPaused, true);
    link.read();
    t.equal(web.isPaused, true, 'whoever reads waits too');
    mock.timers.tick(1_000);
    t.equal(web.isPaused, false);
    flood(FRAMES);
    t.equal(web.isPaused, false, 'it begins anew');
    t.equal(link.destroyed, false);
    link.destroy();
  });
}

t.test('one that nobody reads stays paused when its rate would let it go on', async (t) => {
  const { web, link } = linked();
  web.emit('message', Buffer.alloc(2_048), true);
  t.equal(web.isPaused, true, 'it waits for its reader');
  for (let at = 0; at < FRAMES + 1; at += 1) web.emit('ping', NO_BYTES);
  mock.timers.tick(1_000);
  t.equal(web.isPaused, true);
  link.read();
  t.equal(web.isPaused, false);
  link.destroy();
});
