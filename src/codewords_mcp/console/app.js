// The entry: the frame around the page of the current address.
import { listen } from "./api.js";
import { Frame } from "./parts/frame.js";
import { followLinks } from "./router.js";
import { html, render } from "./ui.js";

followLinks();
listen();
addEventListener("online", listen);
render(html`<${Frame} />`, document.getElementById("app"));
