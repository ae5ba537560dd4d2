import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

/** The yardstick: `node:http` that answers a constant buffer, the content of the file named on the command line. */
const body = readFileSync(process.argv[2] ?? '');
const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(`listening on ${typeof address === 'object' ? address?.port : ''}`);
});
