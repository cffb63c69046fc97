// The part of the recorder's loopback API that a desktop needs. docs/desktop-api.md has all of it.

export class Refusal extends Error {
  constructor(problem, status) {
    super(problem.detail ?? problem.title ?? `the recorder answered ${status}`);
    this.code = problem.code;
    this.status = status;
  }
}

export class Recorder {
  #api;
  #token;
  #seq = "";
  #socket;
  #pinging;
  #loggedOut = false;

  /** Logs the agent in. From then on `onItem` is called with each item of the recorder's event stream. */
  static async logIn(api, agent, password, onItem) {
    const recorder = new Recorder();
    recorder.#api = api.replace(/\/$/, "");
    const basic = btoa(String.fromCharCode(...new TextEncoder().encode(`${agent}:${password}`)));
    const session = await recorder.#call("POST", "/api/v1/session", {}, { authorization: `Basic ${basic}` });
    recorder.#token = session.token;
    // The session survives three lost pings.
    recorder.#pinging = setInterval(() => recorder.#ping(), Math.max(500, session.silence_ms / 4));
    recorder.#listen(onItem);
    return recorder;
  }

  status() { return this.#call("GET", "/api/v1/status"); }
  state(media, state, more = {}) { return this.#call("PUT", "/api/v1/state", { media, state, ...more }); }
  report(event) { return this.#call("POST", "/api/v1/events", event); }

  /** Runs start, stop, pause, resume, mask or tag until it is done. After a pause, no pixel is captured. */
  async command(name, body = {}) {
    const key = crypto.randomUUID();
    let answer = await this.#call("POST", `/api/v1/recording/${name}`, body, { "idempotency-key": key });
    while (answer.state === "pending") {
      await new Promise((resolve) => setTimeout(resolve, 100));
      answer = await this.#call("GET", `/api/v1/operations/${answer.operation}`);
    }
    return answer.done;
  }

  async logOut() {
    this.#loggedOut = true;
    clearInterval(this.#pinging);
    await this.#call("DELETE", "/api/v1/session");
    this.#socket?.close();
  }

  async #ping() {
    try {
      await this.#call("POST", "/api/v1/session/ping", {});
    } catch (error) {
      console.warn("ping failed", error);
    }
  }

  // Reconnects after the last item that it received.
  #listen(onItem) {
    const url = `${this.#api.replace(/^http/, "ws")}/api/v1/ws?after=${encodeURIComponent(this.#seq)}`;
    const socket = new WebSocket(url, ["deskreel.v1", `deskreel.bearer.${this.#token}`]);
    this.#socket = socket;
    socket.onmessage = (message) => {
      const item = JSON.parse(message.data);
      if (item.id) this.#seq = item.id;
      onItem(item);
    };
    socket.onclose = () => {
      if (!this.#loggedOut) setTimeout(() => this.#listen(onItem), 1000);
    };
  }

  async #call(method, path, body, headers = {}) {
    const response = await fetch(this.#api + path, {
      method,
      headers: {
        ...(this.#token && { authorization: `Bearer ${this.#token}` }),
        ...(body && { "content-type": "application/json" }),
        ...headers,
      },
      body: body && JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
    });
    const text = await response.text();
    const answer = text ? JSON.parse(text) : {};
    if (!response.ok) throw new Refusal(answer, response.status);
    return answer;
  }
}
