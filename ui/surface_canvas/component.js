// The scene of figures/surface_scene as a component: what the server sends, and what it is told.

const instances = new WeakMap();

export default function (component) {
  const { parentElement, data } = component;
  const root = parentElement.querySelector(".surface");
  if (!root) return undefined;
  let held = instances.get(root);
  if (!held) {
    held = { scene: new SurfaceSceneView(root, {}) };
    const link = root.querySelector(".trouble a");
    link.href = `Heatmap${window.location.search}`;
    link.hidden = false;
    instances.set(root, held);
  }
  receive(held, component, data);
  return () => {
    held.scene.close();
    instances.delete(root);
  };
}

function receive(held, { data, setStateValue, parentElement }) {
  const { scene } = held;
  const camera = (numbers, { camera_token }, holds) => setStateValue("camera", { numbers, token: camera_token, holds });
  scene.tell.camera = (numbers) => camera(numbers, scene.header, scene.gridId);
  scene.tell.cell = (cell) => {
    const window = cell ? [...cell.rows, ...cell.columns] : null;
    setStateValue("cell", { view_id: scene.header.view_id, window });
  };
  const root = parentElement.querySelector(".surface");
  const theme = sceneTheme(root);
  if (data === held.data) {
    scene.theme = theme;
    scene.draw();
    return;
  }
  held.data = data;
  const message = decodeScene(data);
  if (!scene.take(message, theme)) camera(message.header.camera, message.header, ""); // the page kept its state, but this canvas is new
}
