/**
 * A process that keeps links, run by a test under a low limit of open files.
 * From: its standard input, whose end ends it.  To: standard output, one line with its port.
 * Bound: none of its own; the limit of open files is the point.
 */
import { Served } from '../worlds/endpoints.ts';

const served = new Served('TCP', {});
await served.begin();
process.stdout.write(`${served.port}\n`);
process.stdin.resume().on('end', () => process.exit(0));
