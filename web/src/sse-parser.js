// Server-sent events from the bytes of a response: section 9.2.6 of the HTML standard.
//
// Pure: bytes come in, data go out. EventSource would not do: it hides the HTTP status, the comments that show the
// connection alive, and the end; and it gives up for good after one 502. `id` and `retry` are ignored, because our
// cursor is in the data and the waiting time is our own.

const LINE_END = /\r\n|\n|\r(?!$)/; // a CR at the very end may be half of a CRLF, so it waits for the next bytes
const FIELD = /^([^:]*):? ?(.*)/s;

/**
 * Make a parser of one stream.
 *
 * @param {(data: string) => void} onData called with the data of each unnamed event.
 * @returns {(bytes: Uint8Array) => void} takes the stream's bytes, split anywhere.
 */
export const createSseParser = (onData) => {
  const decoder = new TextDecoder(); // drops one byte order mark at the start
  let unfinishedLine = '';
  let data = [];
  let eventName = '';

  const endEvent = () => {
    if (data.length && !eventName) onData(data.join('\n'));
    data = [];
    eventName = '';
  };

  return (bytes) => {
    const lines = (unfinishedLine + decoder.decode(bytes, { stream: true })).split(LINE_END);
    unfinishedLine = lines.pop();
    for (const line of lines) {
      const [, name, value] = FIELD.exec(line);
      if (name === 'data') data.push(value);
      if (name === 'event') eventName = value;
      if (!line) endEvent();
    }
  };
};
