// A workspace with CometD's own Bayeux server; log-in and current session follow the API's description.
//
// Reads commands as lines of JSON from standard input, and reports what happens as lines on standard output.
//
//   node server.mjs PORT [--no-ack]

import http from "node:http";
import readline from "node:readline";
import { randomUUID } from "node:crypto";
import cometd from "cometd-nodejs-server";
import acknowledgements from "cometd-nodejs-server/ack-extension.js";

const port = Number(process.argv[2]);
const report = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const passwords = { ann: "a pass:word&", bob: "b", eve: "e" };
const tokens = new Map(); // token -> user
const workspaces = new Map(); // cookie -> user
const sessions = new Map(); // user -> Bayeux session
const active = new Map(); // user -> active session
const waiting = new Map(); // user -> messages before there is a session
let toBreak = 0;

const server = cometd.createCometDServer({ timeout: 1500, maxInterval: 3000, interval: 0, logLevel: "off" });
if (!process.argv.includes("--no-ack")) {
    server.addExtension(new acknowledgements.AcknowledgedMessagesExtension());
}

const cookies = (request) =>
    Object.fromEntries((request.headers.cookie ?? "").split("; ").map((pair) => pair.split("=")));
const userOf = (request) => workspaces.get(cookies(request).WORKSPACE_SESSIONID);
const user = (name) => ({
    userName: name,
    employeeId: "E-" + name,
    agentLogin: "L-" + name,
    defaultPlace: "seat-" + name,
    activeSession: active.get(name) ?? {},
});

server.policy = {
    canHandshake: (session, message, callback) => callback(undefined, userOf(server.context.request) !== undefined),
};
server.addListener("sessionAdded", (session) => {
    const name = userOf(server.context.request);
    sessions.set(name, session);
    session.addListener("removed", (_, timeout) => {
        report({ removed: name, timeout: timeout === true });
        if (sessions.get(name) === session) sessions.delete(name);
    });
    // Making the workspace takes a while.
    setTimeout(() => {
        const data = { messageType: "WorkspaceInitializationComplete", state: "Complete", data: { user: user(name) } };
        deliver(name, "/workspace/v3/initialization", data);
    }, 100);
});

// Delivers only what the session has subscribed to.
function deliver(name, channel, data) {
    const session = sessions.get(name);
    const wanted = session?.subscriptions.some(
        ({ name: own }) => own === channel || (own.endsWith("/*") && channel.startsWith(own.slice(0, -1))),
    );
    if (wanted) session.deliver(null, channel, data);
    else report({ undelivered: name, channel });
}

function answer(response, status, body, headers = {}) {
    response.writeHead(status, { "Content-Type": "application/json", ...headers });
    response.end(JSON.stringify(body));
}

async function read(request) {
    let body = "";
    for await (const piece of request) body += piece;
    return body;
}

const routes = {
    "POST /auth/v3/oauth/token": async (request, response) => {
        const form = new URLSearchParams(await read(request));
        const basic = "Basic " + Buffer.from("deskreel:client-secret").toString("base64");
        const isKnown = request.headers.authorization === basic && request.headers["x-api-key"] === "the-key";
        const name = form.get("username");
        if (!isKnown || form.get("grant_type") !== "password" || passwords[name] !== form.get("password")) {
            return answer(response, 401, { error: "invalid_grant" });
        }
        const token = randomUUID();
        tokens.set(token, name);
        answer(response, 200, { access_token: token, expires_in: 1800 });
    },
    "POST /workspace/v3/initialize-workspace": async (request, response) => {
        const name = tokens.get((request.headers.authorization ?? "").replace("Bearer ", ""));
        if (!name) return answer(response, 403, { status: { code: 603 } });
        const cookie = randomUUID();
        workspaces.set(cookie, name);
        const set = `WORKSPACE_SESSIONID=${cookie}; Path=/workspace; HttpOnly`;
        answer(response, 200, { status: { code: 1 } }, { "Set-Cookie": set });
    },
    "GET /workspace/v3/current-session": async (request, response) => {
        const name = userOf(request);
        if (!name) return answer(response, 403, { status: { code: 603 } });
        answer(response, 200, { status: { code: 0 }, data: { user: user(name) } });
    },
    "POST /workspace/v3/notifications": async (request, response) => {
        const body = await read(request);
        if (toBreak > 0 && body.includes('"/meta/connect"')) {
            toBreak -= 1;
            // The request has succeeded, but its answer does not arrive.
            response.end = () => request.socket.destroy();
            response.write = () => true;
        }
        request.body = JSON.parse(body);
        server.handle(request, response);
    },
};

http.createServer((request, response) => {
    const route = routes[`${request.method} ${request.url}`];
    if (route) route(request, response);
    else answer(response, 404, {});
}).listen(port, "127.0.0.1", () => report({ listening: port }));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const command = JSON.parse(line);
    if (command.deliver) deliver(command.deliver, command.channel, command.data);
    if (command.set) active.set(command.set, command.active);
    if (command.break) toBreak = command.break;
    // As if the client had been silent for too long.
    if (command.expire) sessions.get(command.expire)?.disconnect(() => {});
    if (command.log_out) for (const [cookie, name] of workspaces) if (name === command.log_out) workspaces.delete(cookie);
}).on("close", () => process.exit(0));
