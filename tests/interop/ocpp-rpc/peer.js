// A charging station or a CSMS by the npm package ocpp-rpc in its strict mode.
//
// Takes its options as JSON on the command line. From then on each line of standard input is a frame of OCPP-J that it
// is to say, each line of standard output one that it was told; an object in place of a frame says what happened.
"use strict";

const fs = require("node:fs");
const https = require("node:https");
const readline = require("node:readline");
const { RPCClient, RPCServer, createValidator } = require("ocpp-rpc");

console.warn = () => {}; // the validator remarks on OCA's way of writing schemas

const CALL = 2;
const RESULT = 3;

const options = JSON.parse(process.argv[2]);
const file = (path) => (path ? fs.readFileSync(path) : undefined);
const pem = file(options.certificate); // chain and key in one
const tls = { ca: file(options.ca), cert: pem, key: pem };
const strict = { protocols: [options.version], strictMode: true, strictModeValidators: [validator(options.version)] };
const asked = new Map(); // calls that wait for an answer, by their ids
let peer; // the connection that was opened last

// The package's own schemas, but for two faults of version 2.2.1: it calls those of OCPP 2.1 by other names than it looks
// for, and exiResponse is as short in its OCPP 2.0.1 as it was before the third edition.
function validator(version) {
    const schemas = require(`ocpp-rpc/lib/schemas/${version.replaceAll(".", "_")}.json`);
    for (const schema of schemas) {
        schema.$id = schema.$id.replace(/Request$/, ".req").replace(/Response$/, ".conf");
        if (schema.$id === "urn:Get15118EVCertificate.conf") {
            const text = schema.properties.exiResponse;
            text.maxLength = Math.max(text.maxLength, 7500);
        }
    }
    return createValidator(version, schemas);
}

function say(what) {
    process.stdout.write(`${JSON.stringify(what)}\n`);
}

function violation(error) {
    say({ violation: `${error.rpcErrorCode}: ${error.message}` });
}

function follow(connection) {
    peer = connection;
    connection.on("strictValidationFailure", ({ error, outbound, isCall }) => {
        if (!(outbound && isCall)) violation(error); // else the call itself fails
    });
    connection.on("badMessage", ({ error }) => violation(error));
    connection.on("disconnect", ({ code }) => say({ closed: code }));
    connection.handle(({ messageId, method, params }) => new Promise((resolve) => {
        asked.set(messageId, resolve);
        say([CALL, messageId, method, params]);
    }));
}

async function tell([kind, id, ...rest]) {
    if (kind === RESULT) {
        asked.get(id)(rest[0]);
        asked.delete(id);
        return;
    }
    try {
        say([RESULT, id, await peer.call(...rest)]);
    } catch (error) {
        violation(error);
    }
}

async function beStation() {
    const { url, identity, password } = options;
    const station = new RPCClient({ endpoint: url, identity, password, ...strict, reconnect: false, wsOpts: tls });
    follow(station);
    await station.connect();
    say({ connected: station.protocol });
}

function beCsms() {
    const csms = new RPCServer(strict);
    csms.auth((accept, reject, handshake) => {
        const socket = handshake.request.socket;
        const holder = socket.authorized ? socket.getPeerCertificate().subject.CN : null;
        const password = handshake.password ? handshake.password.toString() : null;
        if (holder || password === options.password) accept({ holder, password });
        else reject(401);
    });
    csms.on("client", (connection) => {
        follow(connection);
        say({ connected: connection.protocol, identity: connection.identity, ...connection.session });
    });
    const server = https.createServer({ ...tls, requestCert: true, rejectUnauthorized: false });
    server.on("upgrade", csms.handleUpgrade);
    server.listen(options.port, "127.0.0.1", () => say({ listening: server.address().port }));
}

readline.createInterface({ input: process.stdin })
    .on("line", (line) => tell(JSON.parse(line)))
    .on("close", async () => {
        if (peer) await peer.close();
        process.exit(0);
    });
if (options.role === "station") beStation().catch((error) => say({ refused: String(error.code || error.message) }));
else beCsms();
