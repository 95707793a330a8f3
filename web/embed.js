// The page that shows how to embed the widget: the server's own address in the snippets, copying, a look at the widget.

const $ = (id) => document.getElementById(id);

// A server behind a proxy does not know the address that visitors use; the browser does.
for (const node of document.querySelectorAll('.snippet')) {
  node.textContent = node.textContent.replace(/src="https?:\/\/[^/"]+/, `src="${location.origin}`);
}

async function copy(button) {
  const node = $(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(node.textContent);
  } catch { // no permission, or no https: selected, it is copied by hand
    getSelection().selectAllChildren(node);
    $('said').textContent = 'Selecionado: copie com Ctrl+C.';
    button.textContent = 'Copie com Ctrl+C';
    return;
  }
  $('said').textContent = 'Código copiado.';
  button.textContent = 'Copiado';
  setTimeout(() => {
    button.textContent = 'Copiar código';
    $('said').textContent = '';
  }, 3000);
}

for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.onclick = () => copy(button);
}

$('look').hidden = false;
for (const name of ['theme', 'lang']) {
  $(name).value = $('live').getAttribute(name); // what a reload left chosen is not what is shown
  $(name).onchange = () => $('live').setAttribute(name, $(name).value);
}
