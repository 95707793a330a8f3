// Making elements without markup: nothing of what a server sends is ever parsed.

export const setAttributes = (node, attributes) => {
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
};

/** Make an element; *children* are nodes, or strings that become text. */
export const element = (tag, attributes, ...children) => {
  const node = setAttributes(document.createElement(tag), attributes);
  node.append(...children);
  return node;
};
