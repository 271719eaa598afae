// The pictures that the player shows, kept for the whole page; they come once and stay while other blocks are opened.

export default function ({ data }) {
  if (window.vizFilm?.identity !== data.identity) {
    const palette = bytes(data.palette);
    window.vizFilm = {
      identity: data.identity,
      palette,
      scenes: data.scenes.map(({ shape, limit, pictures, decoded }) => ({
        height: shape[0], width: shape[1], limit, decoded,
        pictures: pictures.map(text => new Float32Array(bytes(text).buffer)),
      })),
    };
  }
  document.dispatchEvent(new CustomEvent("viz-film", { detail: data.identity }));
}

function bytes(text) {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}
