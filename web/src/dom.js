// Creates elements without markup: nothing that a server sends is ever parsed as HTML.

export const setAttributes = (node, attributes) => {
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
};

/** Create an element; *children* are nodes, or strings that become text. */
export const element = (tag, attributes, ...children) => {
  const node = setAttributes(document.createElement(tag), attributes);
  node.append(...children);
  return node;
};
