// Server-sent events from the bytes of a response: section 9.2.6 of the HTML standard.
//
// Pure: bytes come in, data go out. Why not EventSource: it hides the status, the comments that show life, and the
// end; it gives up for good after one 502. Not kept are ids, because our cursor is in the data, and the time to retry.

/**
 * Make a parser of one stream.
 *
 * @param {(data: string) => void} onData takes the data of each unnamed event.
 * @returns {(bytes: Uint8Array) => void} takes the stream, cut anywhere.
 */
export const parser = (onData) => {
  const decoder = new TextDecoder(); // drops one byte order mark at the start
  let rest = '';
  let data = [];
  let type;
  return (bytes) => {
    // A CR at the very end may be half of a CRLF: it waits for what follows.
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      const [, name, value] = /^([^:]*):? ?(.*)/s.exec(line);
      if (name === 'data') data.push(value);
      if (name === 'event') type = value;
      if (!line) {
        if (data.length && !type) onData(data.join('\n'));
        data = [];
        type = '';
      }
    }
  };
};
