// A workspace with CometD's own Bayeux server; log-in, tokens and current session follow the API's
// description. Options make it behave as other servers of that kind and the proxies before them do: it then
// imitates their answers.
//
// Reads commands as lines of JSON from standard input, and reports what happens as lines on standard output.
//
//   node server.mjs PORT [OPTION...]
//
//   --no-ack            without the acknowledgement extension, as CometD's servers are unless configured
//   --at-once           the workspace is ready with the session, as the vendor's simulator: its messages come
//                       with the answer to the subscription
//   --with-handshake    they come with the answer to the handshake, as CometD's Java server may deliver them
//   --two-answers       the handshake has three replies: a refusal, a client that is gone, and the client
//   --advice=none       what refuses a client that is not known has no advice; --advice=retry: a wrong one
//   --cut=MS            a proxy cuts polls that are silent for so long
//   --makes-ready       a session makes the agent ready, and there is no current session before, as the
//                       vendor's simulator

import http from "node:http";
import readline from "node:readline";
import { randomUUID } from "node:crypto";
import cometd from "cometd-nodejs-server";
import acknowledgements from "cometd-nodejs-server/ack-extension.js";

const port = Number(process.argv[2]);
const report = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const has = (option) => process.argv.includes(option);
const valueOf = (option) => process.argv.find((one) => one.startsWith(option + "="))?.slice(option.length + 1);

const passwords = { ann: "a pass:word&", bob: "b", eve: "e" };
const tokens = new Map(); // token -> user
const workspaces = new Map(); // cookie -> user
const sessions = new Map(); // user -> Bayeux session
const active = new Map(); // user -> active session
const codes = new Map(); // code of a sign-in -> user
const refreshTokens = new Map(); // refresh token -> user
const redirect = "http://localhost/";
let toBreak = 0;
let toFail = 0;

const server = cometd.createCometDServer({ timeout: 1500, maxInterval: 3000, interval: 0, logLevel: "off" });
if (!has("--no-ack")) {
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
    // `null`: the user has no session.
    activeSession: active.has(name) ? active.get(name) : {},
});
const readyMessage = (name) => ({
    channel: "/workspace/v3/initialization",
    data: { messageType: "WorkspaceInitializationComplete", state: "Complete", data: { user: user(name) } },
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
    if (has("--makes-ready") && !active.get(name)) {
        active.set(name, { dn: { number: "L-" + name, agentState: "Ready", agentWorkMode: "Unknown" } });
        report({ made_ready: name });
    }
    const { channel, data } = readyMessage(name);
    if (has("--at-once")) return session.deliver(null, channel, data);
    // The answer to the handshake has it.
    if (has("--with-handshake")) return;
    // Making the workspace takes a while.
    setTimeout(() => deliver(name, channel, data), 100);
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

// The user whom a request for a token is for; `undefined` if it is refused.
function granted(form) {
    const take = (map, key) => {
        const name = map.get(key);
        map.delete(key);
        return name;
    };
    switch (form.get("grant_type")) {
        case "password":
            return passwords[form.get("username")] === form.get("password") ? form.get("username") : undefined;
        case "authorization_code":
            return form.get("redirect_uri") === redirect ? take(codes, form.get("code")) : undefined;
        // Each is valid once.
        case "refresh_token":
            return take(refreshTokens, form.get("refresh_token"));
    }
}

// Rewrites the replies in an answer.
function rewrite(response, change) {
    const end = response.end.bind(response);
    response.end = (content, ...rest) => {
        if (response.statusCode !== 200) return end(content, ...rest);
        return end(JSON.stringify(JSON.parse(content).flatMap(change)), ...rest);
    };
}

function withTwoAnswers(reply) {
    const refusal = { channel: reply.channel, id: reply.id, successful: false, error: "401::sign in" };
    return [{ ...refusal, advice: { reconnect: "handshake" } }, { ...reply, clientId: "gone" }, reply];
}

function withOtherAdvice(reply) {
    if (reply.successful !== false || !reply.error.startsWith("402")) return [reply];
    const { advice, ...rest } = reply;
    return [valueOf("--advice") === "retry" ? { ...rest, advice: { reconnect: "retry" } } : rest];
}

const routes = {
    "POST /auth/v3/oauth/token": async (request, response) => {
        const form = new URLSearchParams(await read(request));
        const basic = "Basic " + Buffer.from("deskreel:client-secret").toString("base64");
        if (request.headers.authorization !== basic || request.headers["x-api-key"] !== "the-key") {
            return answer(response, 401, { error: "invalid_client" });
        }
        const name = granted(form);
        report({ token: form.get("grant_type"), user: name ?? null });
        // RFC 6749 has 400 for each; the vendor's service has 401 for a password.
        const refusal = form.get("grant_type") === "password" ? 401 : 400;
        if (!name) return answer(response, refusal, { error: "invalid_grant" });
        const [token, refresh] = [randomUUID(), randomUUID()];
        tokens.set(token, name);
        refreshTokens.set(refresh, name);
        answer(response, 200, { access_token: token, refresh_token: refresh, expires_in: 1800 });
    },
    "POST /workspace/v3/initialize-workspace": async (request, response) => {
        const asks = new URL(request.url, "http://localhost").searchParams;
        // The workspace exchanges a code by itself.
        const name = asks.has("code")
            ? asks.get("redirect_uri") === redirect ? codes.get(asks.get("code")) : undefined
            : tokens.get((request.headers.authorization ?? "").replace("Bearer ", ""));
        if (!name) return answer(response, 403, { status: { code: 603 } });
        const cookie = randomUUID();
        workspaces.set(cookie, name);
        const set = `WORKSPACE_SESSIONID=${cookie}; Path=/workspace; HttpOnly`;
        answer(response, 200, { status: { code: 1 } }, { "Set-Cookie": set });
    },
    "GET /workspace/v3/current-session": async (request, response) => {
        const name = userOf(request);
        const hasNone = has("--makes-ready") && !active.get(name);
        if (!name || hasNone) return answer(response, 403, { status: { code: 603 } });
        answer(response, 200, { status: { code: 0 }, data: { user: user(name) } });
    },
    "POST /workspace/v3/notifications": async (request, response) => {
        const body = await read(request);
        const isPoll = body.includes('"/meta/connect"');
        if (isPoll && toFail > 0) {
            toFail -= 1;
            response.writeHead(502, { "Content-Type": "text/html" });
            return response.end("<html>Bad Gateway</html>");
        }
        if (isPoll && valueOf("--cut")) {
            const cut = setTimeout(() => request.socket.destroy(), Number(valueOf("--cut")));
            response.on("finish", () => clearTimeout(cut));
        }
        const isHandshake = body.includes('"/meta/handshake"');
        if (isHandshake && has("--two-answers")) rewrite(response, withTwoAnswers);
        if (isHandshake && has("--with-handshake")) {
            rewrite(response, (reply) => [readyMessage(userOf(request)), reply]);
        }
        if (isPoll && valueOf("--advice")) rewrite(response, withOtherAdvice);
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
    const route = routes[`${request.method} ${request.url.split("?")[0]}`];
    if (route) return route(request, response);
    report({ unexpected: `${request.method} ${request.url}` });
    answer(response, 404, {});
}).listen(port, "127.0.0.1", () => report({ listening: port }));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const command = JSON.parse(line);
    if (command.deliver) deliver(command.deliver, command.channel, command.data);
    if (command.set) active.set(command.set, command.active);
    if (command.break) toBreak = command.break;
    if (command.bad_gateway) toFail = command.bad_gateway;
    // As if the client had been silent for too long.
    if (command.expire) sessions.get(command.expire)?.disconnect(() => {});
    // As the agent's desktop logs out: polls go on to be answered, without messages.
    if (command.log_out) {
        for (const [cookie, name] of workspaces) if (name === command.log_out) workspaces.delete(cookie);
        sessions.delete(command.log_out);
    }
    if (command.deafen) sessions.delete(command.deafen);
    if (command.code) codes.set(command.code, command.user);
    if (command.revoke) for (const [token, name] of refreshTokens) if (name === command.revoke) refreshTokens.delete(token);
}).on("close", () => process.exit(0));
