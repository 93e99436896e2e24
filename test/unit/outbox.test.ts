/** When an outbox is stalled: told by what the kernel has taken, and by nothing else. */
import type { Socket } from 'node:net';
import t from 'tap';
import { Flusher, Outbox } from '../../src/acceptor/endpoint/outbox.ts';

const STALL_MS = 100;

/** A socket of which only the figures matter. */
function build() {
  const handle = { bytesWritten: 0, writeQueueSize: 0 };
  const socket = { writableLength: 0, _handle: handle as typeof handle | null };
  const outbox = new Outbox(socket as unknown as Socket, new Flusher());
  return { outbox, handle, socket };
}

t.test('outbox: what waits untaken for the stall time is stalled, and not before', async (t) => {
  const { outbox, handle, socket } = build();
  socket.writableLength = 500;
  Object.assign(handle, { bytesWritten: 1_500, writeQueueSize: 500 });

  t.equal(outbox.isStalled(1, STALL_MS), false);
  t.equal(outbox.isStalled(100, STALL_MS), false);
  t.equal(outbox.isStalled(101, STALL_MS), true);
});

t.test('outbox: part of one large write taken is progress', async (t) => {
  const { outbox, handle, socket } = build();
  socket.writableLength = 500;
  Object.assign(handle, { bytesWritten: 500, writeQueueSize: 500 });

  for (let now = 1; now < 2_000; now += 90) {
    t.equal(outbox.isStalled(now, STALL_MS), false);
    handle.writeQueueSize -= 1;
  }
});

t.test('outbox: one write after another, all of one size, is progress', async (t) => {
  const { outbox, handle, socket } = build();
  socket.writableLength = 4_000;

  for (let now = 1; now < 2_000; now += 90) {
    // The last is gone, the next has taken its place: the queue looks the same.
    Object.assign(handle, { bytesWritten: handle.bytesWritten + 100, writeQueueSize: 100 });
    t.equal(outbox.isStalled(now, STALL_MS), false);
  }
});

t.test('outbox: more written to a frozen device is no progress', async (t) => {
  const { outbox, handle, socket } = build();
  Object.assign(handle, { bytesWritten: 100, writeQueueSize: 100 });

  for (let now = 1; now <= 91; now += 30) {
    socket.writableLength += 100;
    t.equal(outbox.isStalled(now, STALL_MS), false);
  }
  t.equal(outbox.isStalled(101, STALL_MS), true);
});

t.test('outbox: empty in between, the time starts anew', async (t) => {
  const { outbox, socket } = build();
  socket.writableLength = 1;
  t.equal(outbox.isStalled(1, STALL_MS), false);
  socket.writableLength = 0;
  t.equal(outbox.isStalled(90, STALL_MS), false);
  socket.writableLength = 1;

  t.equal(outbox.isStalled(150, STALL_MS), false);
  t.equal(outbox.isStalled(249, STALL_MS), false);
  t.equal(outbox.isStalled(250, STALL_MS), true);
});

t.test('outbox: a socket that lost its handle is judged without it', async (t) => {
  const { outbox, socket } = build();
  socket.writableLength = 1;
  socket._handle = null;

  t.equal(outbox.isStalled(1, STALL_MS), false);
  t.equal(outbox.isStalled(101, STALL_MS), true);
});
