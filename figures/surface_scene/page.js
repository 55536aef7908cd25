// An exported page: unpack the data, draw the scene, fit it to the window.

async function openPage() {
  const root = document.querySelector(".surface");
  const text = atob(document.getElementById("data").textContent), packed = new Uint8Array(text.length);
  for (let i = 0; i < packed.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const message = decodeScene(new Uint8Array(await new Response(stream).arrayBuffer()));
  const { header } = message;
  const show = (selected) => {
    header.selected = selected;
    header.height = Math.max(320, window.innerHeight - 150);
    scene.take(message, sceneTheme(root));
    message.values = null; // it has them now
  };
  // A click keeps the cell's largest entry marked; here nobody can be asked where in the cell it lies.
  const scene = new SurfaceSceneView(root, {
    camera: () => {},
    cell: (cell) => show(cell && [cell.rows[0], cell.columns[0]]),
  });
  show(null);
  document.querySelector(".source").textContent = scene.facts();
  window.addEventListener("resize", () => show(header.selected));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(header.selected));
  return scene;
}

const page = openPage();
