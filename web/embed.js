// The page that shows how to embed the widget: the server's own address in the snippets, copying, a look at the widget.

const byId = (id) => document.getElementById(id);

// A server behind a proxy does not know the address that visitors use; the browser does.
for (const node of document.querySelectorAll('.snippet')) {
  node.textContent = node.textContent.replace(/src="https?:\/\/[^/"]+/, `src="${location.origin}`);
}

async function copy(button) {
  const node = byId(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(node.textContent);
  } catch { // no permission, or no https: selected, it is copied by hand
    getSelection().selectAllChildren(node);
    byId('said').textContent = 'Selecionado: copie com Ctrl+C.';
    button.textContent = 'Copie com Ctrl+C';
    return;
  }
  byId('said').textContent = 'Código copiado.';
  button.textContent = 'Copiado';
  setTimeout(() => {
    button.textContent = 'Copiar código';
    byId('said').textContent = '';
  }, 3000);
}

for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.onclick = () => copy(button);
}

byId('look').hidden = false;
for (const name of ['theme', 'lang']) {
  byId(name).value = byId('live').getAttribute(name); // what a reload left chosen is not what is shown
  byId(name).onchange = () => byId('live').setAttribute(name, byId(name).value);
}
