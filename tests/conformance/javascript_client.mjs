// Scenarios for the official JavaScript client; called with the scenario and a namespace, it fails
// when the server does not do what the client expects.

import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { PassThrough } from "node:stream";
import * as k8s from "@kubernetes/client-node";

const [scenario, namespace] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const knative = { group: "serving.knative.dev", version: "v1", namespace, plural: "services" };
const map = (name, data) => ({ metadata: { name }, data });

async function refused(promise, code) {
  await assert.rejects(promise, (error) => error.code === code || assert.fail(`${error.code}: ${error}`));
}

async function until(check) {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const found = await check();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return assert.fail("it did not happen");
}

async function pod(fields = { command: ["sh", "-c", "echo up; sleep 600"] }) {
  const spec = { containers: [{ name: "c", image: "counter", ...fields }] };
  await core.createNamespacedPod({ namespace, body: { metadata: { name: "p" }, spec } });
  await until(async () => {
    const found = await core.readNamespacedPod({ name: "p", namespace });
    return found.status.containerStatuses?.[0].ready;
  });
}

const scenarios = {
  async objects() {
    const made = await core.createNamespacedConfigMap({ namespace, body: map("a", { x: "1" }) });
    assert.ok(made.metadata.creationTimestamp instanceof Date);
    made.data.x = "2";
    await core.replaceNamespacedConfigMap({ name: "a", namespace, body: made });
    await refused(core.replaceNamespacedConfigMap({ name: "a", namespace, body: made }), 409);
    await refused(core.createNamespacedConfigMap({ namespace, body: map("a") }), 409);
    const listed = await core.listNamespacedConfigMap({ namespace, fieldSelector: "metadata.name=a" });
    assert.deepEqual(listed.items.map((item) => item.data), [{ x: "2" }]);
    await core.deleteNamespacedConfigMap({ name: "a", namespace });
    await refused(core.readNamespacedConfigMap({ name: "a", namespace }), 404);
  },

  async patches() {
    await core.createNamespacedConfigMap({ namespace, body: map("a", { x: "1" }) });
    const patch = (body, type) =>
      core.patchNamespacedConfigMap(
        { name: "a", namespace, body },
        k8s.setHeaderOptions("Content-Type", type),
      );
    await patch([{ op: "add", path: "/data/y", value: "2" }], k8s.PatchStrategy.JsonPatch);
    await patch({ data: { x: null } }, k8s.PatchStrategy.MergePatch);
    const found = await patch({ data: { z: "3" } }, k8s.PatchStrategy.StrategicMergePatch);
    assert.deepEqual(found.data, { y: "2", z: "3" });
  },

  async applies() {
    const objects = k8s.KubernetesObjectApi.makeApiClient(config);
    const body = { apiVersion: "v1", kind: "ConfigMap", ...map("a", { x: "1" }) };
    body.metadata.namespace = namespace;
    const apply = (object, manager, force) =>
      objects.patch(object, undefined, undefined, manager, force, k8s.PatchStrategy.ServerSideApply);
    await apply(body, "first");
    const other = { ...body, data: { x: "2" } };
    await refused(apply(other, "second"), 409);
    assert.equal((await apply(other, "second", true)).data.x, "2");
  },

  async informer() {
    const seen = [];
    const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: "app=js" });
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const informer = k8s.makeInformer(config, path, list, "app=js");
    for (const event of ["add", "update", "delete"]) {
      informer.on(event, (object) => seen.push(`${event} ${object.metadata.name}`));
    }
    informer.on("error", (error) => assert.fail(String(error)));
    await informer.start();
    const body = { ...map("a", { x: "1" }), metadata: { name: "a", labels: { app: "js" } } };
    const made = await core.createNamespacedConfigMap({ namespace, body });
    await core.createNamespacedConfigMap({ namespace, body: map("unseen") });
    made.data.x = "2";
    await core.replaceNamespacedConfigMap({ name: "a", namespace, body: made });
    await core.deleteNamespacedConfigMap({ name: "a", namespace });
    await until(() => seen.length === 3);
    assert.deepEqual(seen, ["add a", "update a", "delete a"]);
    await informer.stop();
  },

  async knative() {
    const body = JSON.parse(await text(process.stdin));
    await custom.createNamespacedCustomObject({ ...knative, body });
    const ready = await until(async () => {
      const found = await custom.getNamespacedCustomObject({ ...knative, name: "hello" });
      const condition = found.status?.conditions?.find(({ type }) => type === "Ready");
      return condition?.status === "True" && found;
    });
    assert.match(ready.status.url, /^http:\/\/hello\./);
    await custom.deleteNamespacedCustomObject({ ...knative, name: "hello" });
  },

  async logs() {
    await pod();
    const output = new PassThrough();
    const log = new k8s.Log(config);
    const stop = await log.log(namespace, "p", "c", output, { follow: true, tailLines: 1 });
    const [chunk] = await output.take(1).toArray();
    assert.equal(String(chunk), "up\n");
    stop.abort();
  },

  async exec() {
    await pod();
    const output = new PassThrough();
    const status = await new Promise((resolve, reject) => {
      new k8s.Exec(config)
        .exec(namespace, "p", "c", ["sh", "-c", "echo hello; exit 3"], output, null, null, false, resolve)
        .catch(reject);
    });
    output.end();
    assert.equal(await text(output), "hello\n");
    assert.equal(status.details.causes[0].message, "3");
  },

  async input() {
    await pod();
    const [output, input] = [new PassThrough(), new PassThrough()];
    input.write("typed\n");
    const status = await new Promise((resolve, reject) => {
      new k8s.Exec(config)
        .exec(namespace, "p", "c", ["head", "-1"], output, null, input, false, resolve)
        .catch(reject);
    });
    output.end();
    assert.equal(await text(output), "typed\n");
    assert.equal(status.status, "Success");
  },

  async attach() {
    const script = 'while read line; do echo "heard $line"; echo "wrong $line" >&2; done';
    await pod({ command: ["sh", "-c", script], stdin: true });
    const [output, errors, input] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const client = new k8s.Attach(config);
    const socket = await client.attach(namespace, "p", "c", output, errors, input, false);
    input.write("this\n");
    const [chunk] = await output.take(1).toArray();
    assert.equal(String(chunk), "heard this\n");
    const [error] = await errors.take(1).toArray();
    assert.equal(String(error), "wrong this\n");
    socket.close();
  },

  async portforward() {
    await pod({ ports: [{ containerPort: 8080 }], readinessProbe: { tcpSocket: { port: 8080 } } });
    const [output, input] = [new PassThrough(), new PassThrough()];
    const client = new k8s.PortForward(config);
    await client.portForward(namespace, "p", [8080], output, null, input);
    input.write("GET / HTTP/1.0\r\n\r\n");
    const [chunk] = await output.take(1).toArray();
    assert.match(String(chunk), /^HTTP\/1\.[01] 200 /);
  },
};

await scenarios[scenario]();
process.exit(0);
