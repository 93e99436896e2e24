/**
 * Browser: a page in a real Chromium of any width, asked over its own debugging protocol.
 * From: an HTML file, or an address.  To: what an expression gives in the page, pictures of it,
 * and what it complained of or asked others for.
 * Bound: it ends with the test that opened it, at the latest with this process.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { leash, signalTo } from './leash.ts';

/** Debian's name for it, and others'. */
const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
/** As root it runs only without its sandbox; our own pages need none. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--remote-debugging-port=0',
  '--hide-scrollbars',
];
const HEIGHT = 800;

function found(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const PROGRAM = NAMES.find(found);
/** Why there is none here, or `false`. */
export const noBrowser: string | false =
  PROGRAM === undefined && 'no Chromium on this machine (Debian: chromium)';

/** Keys that a test presses: what Chromium wants to know of them. */
const KEYS = { Tab: 9, Enter: 13, Escape: 27, ArrowRight: 39, ArrowDown: 40 };

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

export class Browser {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #socket: WebSocket;
  #session: string | undefined;
  #calls = 0;
  /** Errors: thrown, written to the console, or said by Chromium, such as of the CSP. */
  readonly problems: string[] = [];
  /** Host and port of each request of a page that `file://` did not serve. */
  readonly hosts = new Set<string>();

  private constructor(child: ChildProcess, folder: string, socket: WebSocket) {
    this.#process = child;
    this.#folder = folder;
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#note(JSON.parse(String(data))));
  }

  static async start(): Promise<Browser> {
    const folder = await mkdtemp(join(tmpdir(), 'owsla-browser-'));
    const child = spawn(PROGRAM ?? '', [...FLAGS, `--user-data-dir=${folder}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    leash(child, folder);
    const url = await new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the browser ended with ${code}`)));
      createInterface({ input: child.stderr }).on('line', (line) => {
        const told = /^DevTools listening on (ws:\S+)/.exec(line)?.[1];
        if (told !== undefined) resolve(told);
      });
    });
    const socket = new WebSocket(url);
    await once(socket, 'open');
    return new Browser(child, folder, socket);
  }

  /** Shows a file or an address in a window of `width` pixels; resolves when it has loaded. */
  async open(place: string, width: number): Promise<void> {
    this.#session = undefined;
    const { targetId } = await this.#call('Target.createTarget', { url: 'about:blank' });
    const attached = await this.#call('Target.attachToTarget', { targetId, flatten: true });
    this.#session = String(attached.sessionId);
    await this.#resize(width);
    for (const part of ['Page', 'Network', 'Runtime', 'Log']) await this.#call(`${part}.enable`);
    const loaded = this.#heard(({ method }) => method === 'Page.loadEventFired');
    await this.#call('Page.navigate', { url: place.startsWith('/') ? `file://${place}` : place });
    await loaded;
  }

  /** The same page, in a window of `width` pixels, of somebody who likes it light or dark. */
  async show(width: number, scheme: 'light' | 'dark'): Promise<void> {
    await this.#resize(width);
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await this.#call('Emulation.setEmulatedMedia', { features });
  }

  async #resize(width: number): Promise<void> {
    const screen = { width, height: HEIGHT, deviceScaleFactor: 1, mobile: width < 600 };
    await this.#call('Emulation.setDeviceMetricsOverride', screen);
  }

  /** As a person at a keyboard does. */
  async press(key: keyof typeof KEYS): Promise<void> {
    const windowsVirtualKeyCode = KEYS[key];
    const text = key === 'Enter' ? { text: '\r' } : {};
    const what = { key, code: key, windowsVirtualKeyCode };
    await this.#call('Input.dispatchKeyEvent', { type: 'keyDown', ...what, ...text });
    await this.#call('Input.dispatchKeyEvent', { type: 'keyUp', ...what });
  }

  /** Text into what has the focus. */
  async type(text: string): Promise<void> {
    await this.#call('Input.insertText', { text });
  }

  #note({ method, params = {} }: Answer): void {
    const { entry, exceptionDetails, request } = params as {
      readonly entry?: { readonly level: string; readonly text: string; readonly url?: string };
      readonly exceptionDetails?: { readonly exception?: { readonly description?: string } };
      readonly request?: { readonly url: string };
    };
    if (method === 'Log.entryAdded' && entry?.level === 'error') {
      this.problems.push(`${entry.text} ${entry.url ?? ''}`);
    }
    if (method === 'Runtime.exceptionThrown') {
      this.problems.push(exceptionDetails?.exception?.description ?? 'an exception');
    }
    if (method === 'Runtime.consoleAPICalled' && params.type === 'error') {
      this.problems.push(JSON.stringify(params.args));
    }
    if (method === 'Network.requestWillBeSent' && request !== undefined) {
      this.hosts.add(new URL(request.url).host);
    }
  }

  /** The value of an expression in the page, as JSON has it. */
  async evaluate<T>(expression: string): Promise<T> {
    const what = { expression, returnByValue: true, awaitPromise: true };
    const { result } = await this.#call('Runtime.evaluate', what);
    return (result as { value: T }).value;
  }

  /** The whole page, as PNG. */
  async picture(): Promise<Buffer> {
    const how = { format: 'png', captureBeyondViewport: true };
    const { data } = await this.#call('Page.captureScreenshot', how);
    return Buffer.from(String(data), 'base64');
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'close');
    this.#socket.close();
    signalTo(-(this.#process.pid ?? 0), 'SIGKILL');
    await ended;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #call(method: string, params = {}): Promise<Readonly<Record<string, unknown>>> {
    this.#calls += 1;
    const id = this.#calls;
    const answered = this.#heard((answer) => answer.id === id);
    const sessionId = this.#session;
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    const { result = {}, error } = await answered;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  #heard(isIt: (answer: Answer) => boolean): Promise<Answer> {
    return new Promise((resolve) => {
      const look = ({ data }: MessageEvent) => {
        const answer = JSON.parse(String(data)) as Answer;
        if (!isIt(answer)) return;
        this.#socket.removeEventListener('message', look);
        resolve(answer);
      };
      this.#socket.addEventListener('message', look);
    });
  }
}
