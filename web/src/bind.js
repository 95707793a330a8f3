// Elements made to follow a run: those that the page's own designer drew, and the widget's.
//
//   data-rpa-text="mensagem"            the words, see model.describe(); before the run the page's own stay
//   data-rpa-width="percent"            the width
//   data-rpa-show="running stalled"     visible while one of the conditions holds; the page itself writes hidden
//   data-rpa-class="is-late:stalled"    a class while a condition holds
//   data-rpa-retry                      a click asks for the connection anew
//
// Words go in as text alone, so nothing that a server sends can become
// markup, and a page that enforces Trusted Types has nothing to object to.

/** Bring every bound element under *root* up to date with a view. */
export function bind(root, view) {
  const each = (name, act) => root.querySelectorAll(`[data-rpa-${name}]`)
    .forEach((node) => act(node, node.getAttribute(`data-rpa-${name}`).split(/[\s,|]+/)));
  const holds = (name) => view.on[name] === true;
  each('text', (node, [path]) => {
    const words = view[path];
    // Rewriting an alert with the same words would repeat it.
    if (/^[sn]/.test(typeof words) && (words || !view.on.waiting || node.told) && node.textContent !== `${words}`) {
      node.textContent = node.told = words;
    }
  });
  each('retry', (node) => {
    node.onclick = view.redo;
  });
  each('width', (node) => {
    node.style.width = view.percent || '';
  });
  each('show', (node, names) => {
    const { style } = node;
    node.hidden = !names.some(holds);
    style.display = node.hidden ? 'none' : ''; // a page's own display would overrule the attribute
    // Designers hide by a class as often as by nothing: what is to be seen may have to be said.
    if (!node.hidden && getComputedStyle(node).display === 'none') style.display = 'block';
  });
  each('class', (node, pairs) => pairs.forEach((pair) => {
    const [name, condition] = pair.split(':');
    if (name) node.classList.toggle(name, holds(condition));
  }));
}
