/**
 * NotifySocket: systemd's side of Type=notify: a real datagram socket, which Node has none of.
 * From: the node under test, by systemd-notify.  To: its words, in order.
 * Bound: a Python process that ends with the test.
 */
import { join } from 'node:path';
import { Command } from './command.ts';
import { debianPython } from './programs.ts';

/** Prints each datagram as one line. */
const RECEIVER = `
import os, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    words, ancillary, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(4))
    # With BARRIER=1 comes a descriptor: its sender waits until it is closed.
    for level, kind, data in ancillary: os.close(struct.unpack('i', data[:4])[0])
    print(words.decode().replace('\\n', ' '), flush=True)
`;

export class NotifySocket {
  readonly path: string;
  readonly #receiver: Command;

  private constructor(path: string) {
    this.path = path;
    this.#receiver = new Command([debianPython, '-c', RECEIVER, path]);
  }

  static async open(folder: string): Promise<NotifySocket> {
    const socket = new NotifySocket(join(folder, 'notify'));
    await socket.#receiver.prints(/^bound$/m);
    return socket;
  }

  /** Resolves when the words so far fit. */
  hears(wanted: RegExp): Promise<void> {
    return this.#receiver.prints(wanted);
  }

  get words(): string[] {
    return this.#receiver.output.trimEnd().split('\n').slice(1);
  }

  async close(): Promise<void> {
    await this.#receiver.end('SIGKILL');
  }
}
