// Holds the requests of every method of the gateway against Stripe's contract, by two oracles: the
// types of the official SDK of the version of the API that is spoken, and the official mock, which
// carries a newer version. A copy of each request with a parameter that does not exist has to be
// refused by both, so that silence is known to be consent.
//
//   node check.cjs REQUESTS.jsonl METHODS.json SCHEMAS ANSWERS.jsonl
//
// The last file is written: what the mock answers to each request.
const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const path = require('path');

const tools = path.join(__dirname, '..', '..', '.tools', 'stripe-shapes');
const Ajv = require(path.join(tools, 'node_modules', 'ajv'));
const qs = require(path.join(tools, 'node_modules', 'qs'));

const exempt = require('./exempt.cjs');
const types = require('./types.cjs');

const BOGUS = 'bursar_bogus=1';
const MOCK_STARTS_WITHIN_MS = 30_000;

const lines = (file) => fs.readFileSync(file, 'utf8').trim().split('\n').map(JSON.parse);
const joined = (text, more) => (text === '' ? more : `${text}&${more}`);
const parameters = (request) => (request.method === 'POST' ? request.body : request.query);

function broken(request) {
  const field = request.method === 'POST' ? 'body' : 'query';
  return { ...request, [field]: joined(request[field], BOGUS) };
}

// The oracle of the SDK's types: returns why a request is refused, or nothing.
function typesOracle(schemas) {
  const compiled = new Map();
  return (request) => {
    const name = types[request.call];
    if (!name) return 'no type of the SDK is named for it in types.cjs';
    if (!compiled.has(name)) {
      const ajv = new Ajv({ strict: false, coerceTypes: true });
      const schema = JSON.parse(fs.readFileSync(path.join(schemas, `${name}.json`), 'utf8'));
      compiled.set(name, ajv.compile(schema));
    }
    const validate = compiled.get(name);
    const value = qs.parse(parameters(request), { depth: 20, arrayLimit: 100 });
    if (validate(value)) return undefined;
    return validate.errors.map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`).join('; ');
  };
}

// Starts the mock on a free port of this machine; returns its process and its port.
function startMock() {
  const mock = spawn(path.join(tools, 'bin', 'stripe-mock'), ['-http-addr', '127.0.0.1:0']);
  return new Promise((resolve, reject) => {
    let said = '';
    const late = setTimeout(() => reject(new Error(`stripe-mock does not start: ${said}`)), MOCK_STARTS_WITHIN_MS);
    const listen = (chunk) => {
      said += chunk;
      const port = said.match(/Listening for HTTP at address: \S*:(\d+)/);
      if (!port) return;
      clearTimeout(late);
      resolve({ mock, port: Number(port[1]) });
    };
    mock.stdout.on('data', listen);
    mock.stderr.on('data', listen);
    mock.on('exit', (code) => reject(new Error(`stripe-mock ended with ${code}: ${said}`)));
  });
}

// Asks the mock: returns its answer, or why it refuses the request.
function mockCaller(port) {
  const agent = new http.Agent({ keepAlive: true });
  return (request) =>
    new Promise((resolve, reject) => {
      const headers = { authorization: 'Bearer sk_test_gate' };
      if (request.method === 'POST') headers['content-type'] = 'application/x-www-form-urlencoded';
      const where = request.query === '' ? request.path : `${request.path}?${request.query}`;
      const call = http.request(
        { agent, port, host: '127.0.0.1', method: request.method, path: where, headers },
        (answer) => {
          let text = '';
          answer.on('data', (chunk) => (text += chunk));
          answer.on('end', () => {
            if (answer.statusCode >= 200 && answer.statusCode < 300) return resolve({ answer: text });
            let reason = text;
            try {
              reason = JSON.parse(text).error.message;
            } catch {
              // It is shown as it is.
            }
            resolve({ refusal: `${answer.statusCode}: ${reason.trim()}` });
          });
        },
      );
      call.on('error', reject);
      call.end(request.body);
    });
}

// Asks an oracle about each request and its broken copy; returns what is wrong.
async function ask(name, oracle, requests, exempted) {
  const faults = [];
  const used = new Set();
  let accepted = 0;
  let rejected = 0;
  for (const request of requests) {
    const what = `${name}: ${request.call}: ${request.method} ${request.path}`;
    const reason = await oracle(request);
    if (reason !== undefined && exempted[request.call]) {
      used.add(request.call);
      continue;
    }
    if (reason === undefined) accepted += 1;
    else {
      rejected += 1;
      faults.push(`${what}: ${reason}\n    ${parameters(request)}`);
    }
    if ((await oracle(broken(request))) === undefined) {
      faults.push(`${what}: a parameter that does not exist was not noticed`);
    }
  }
  for (const call of Object.keys(exempted)) {
    if (!used.has(call)) faults.push(`${name}: ${call} needs no exemption any more`);
    else console.log(`${name}: not asked about ${call}: ${exempted[call]}`);
  }
  console.log(`${name}: accepted=${accepted} rejected=${rejected}`);
  return faults;
}

// Returns what is wrong with the oracle of the types beside bogus parameters.
function tooLong(oracle, requests) {
  const event = requests.find((request) => request.call === 'send_meter_event');
  const body = event?.body.replace(/identifier=[^&]*/, `identifier=${'0'.repeat(101)}`);
  return event && oracle({ ...event, body }) === undefined
    ? ['sdk-types: an identifier of 101 characters was not noticed']
    : [];
}

// Returns what the mock answers to each request, a line each, for the gateway to read.
async function answers(call, requests) {
  let written = '';
  for (const request of requests) {
    const body = exempt[request.call] ? undefined : (await call(request)).answer;
    written += `${JSON.stringify({ call: request.call, body: body ?? null })}\n`;
  }
  return written;
}

async function main([requestsFile, methodsFile, schemas, answersFile]) {
  const requests = lines(requestsFile);
  const methods = JSON.parse(fs.readFileSync(methodsFile, 'utf8'));
  const faults = [];
  for (const method of methods) {
    const calls = requests.filter((request) => request.call === method).length;
    console.log(`${String(calls).padStart(3)} ${method}`);
    if (calls === 0) faults.push(`${method} was not called`);
  }
  for (const method of Object.keys(types)) {
    if (!methods.includes(method)) faults.push(`types.cjs names ${method}, which there is not`);
  }
  const { mock, port } = await startMock();
  mock.removeAllListeners('exit');
  try {
    const call = mockCaller(port);
    const refusal = async (request) => (await call(request)).refusal;
    faults.push(...(await ask('stripe-mock', refusal, requests, exempt)));
    fs.writeFileSync(answersFile, await answers(call, requests));
  } finally {
    mock.kill();
  }
  const byTypes = typesOracle(schemas);
  faults.push(...(await ask('sdk-types', byTypes, requests, {})), ...tooLong(byTypes, requests));
  for (const fault of faults) console.error(fault);
  process.exit(faults.length === 0 ? 0 : 1);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
