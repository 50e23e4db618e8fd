// The picture that the network sees: drawn, chosen, read from a file or from the camera.

export const SIZES = { clothes: [28, 28], scenes: [96, 192] };
const WHITE = 255;
const RADIUS = { clothes: 1.3, scenes: 3 };

/** Return an empty picture of a network's usual size. */
export function blank(network) {
  const [rows, columns] = SIZES[network];
  return { rows, columns, grey: new Float32Array(rows * columns) };
}

/** Return a picture of the page's own. */
export function unpack({ rows, columns, grey }) {
  const bytes = Uint8Array.from(atob(grey), (character) => character.charCodeAt(0));
  return { rows, columns, grey: Float32Array.from(bytes, (value) => value / WHITE) };
}

/** Return the middle of an image or a video frame, scaled to a network's size, in grey. */
export function capture(source, width, height, network) {
  const [rows, columns] = SIZES[network];
  const scale = Math.max(columns / width, rows / height);
  const canvas = new OffscreenCanvas(columns, rows);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const [w, h] = [width * scale, height * scale];
  context.drawImage(source, (columns - w) / 2, (rows - h) / 2, w, h);
  const { data } = context.getImageData(0, 0, columns, rows);
  const grey = new Float32Array(rows * columns);
  for (let i = 0; i < grey.length; i += 1) {
    const [r, g, b] = data.subarray(4 * i, 4 * i + 3);
    grey[i] = (0.299 * r + 0.587 * g + 0.114 * b) / WHITE;
  }
  return { rows, columns, grey };
}

/** Return the picture with bright and dark exchanged. */
export function inverted({ rows, columns, grey }) {
  return { rows, columns, grey: grey.map((value) => 1 - value) };
}

/** Show a picture in a canvas, one pixel each. */
export function paint(canvas, { rows, columns, grey }, cursor = null) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let i = 0; i < grey.length; i += 1) {
    const value = Math.round(grey[i] * WHITE);
    image.data.set([value, value, value, WHITE], 4 * i);
  }
  context.putImageData(image, 0, 0);
  if (cursor) {
    context.fillStyle = "#e6a52c";
    context.fillRect(Math.floor(cursor.x), Math.floor(cursor.y), 1, 1);
  }
}

/** Draw a soft dot into a picture; erase: towards black. */
export function dot(picture, network, x, y, erase = false) {
  const radius = RADIUS[network];
  const reach = Math.ceil(radius + 1);
  for (let row = Math.floor(y) - reach; row <= y + reach; row += 1) {
    for (let column = Math.floor(x) - reach; column <= x + reach; column += 1) {
      if (row < 0 || column < 0 || row >= picture.rows || column >= picture.columns) {
        continue;
      }
      const distance = Math.hypot(column + 0.5 - x, row + 0.5 - y);
      const share = Math.min(1, Math.max(0, radius + 0.5 - distance));
      const at = row * picture.columns + column;
      const value = picture.grey[at];
      picture.grey[at] = erase ? Math.min(value, 1 - share) : Math.max(value, 0.9 * share);
    }
  }
}

/** Draw a line of dots. */
export function line(picture, network, from, to, erase = false) {
  const steps = Math.max(1, Math.ceil(2 * Math.hypot(to.x - from.x, to.y - from.y)));
  for (let i = 0; i <= steps; i += 1) {
    const t = i / steps;
    dot(picture, network, from.x + t * (to.x - from.x), from.y + t * (to.y - from.y), erase);
  }
}
