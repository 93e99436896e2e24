/**
 * Echo process: a ScriptedServer without a script in a process of its own, for benches.
 * From: the bench, by fork; argv: port (0: any).  To: its parent, the port by IPC.
 * Bound: ends with its parent.
 */
import { ScriptedServer } from './scriptedServer.ts';

const server = new ScriptedServer();
const port = await server.listen(Number(process.argv[2] ?? 0), true);
if (process.send === undefined) process.stdout.write(`${port}\n`);
process.send?.(port);
process.on('disconnect', () => process.exit(0));
