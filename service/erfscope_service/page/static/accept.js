// Which files can be measured: their kind and size, told before anything is sent.

import { Problem, limits } from "/page/api.js";
import { mebibytes } from "/page/format.js";

// What a file is and what to do, after "NAME is ".
const EXPORT = 'torch.onnx.export(model, (image,), "net.onnx")';
const TORCH = `a PyTorch file. Load it in Python and export the network, with an image of its input's shape: ${EXPORT}`;
const WEIGHTS =
  "a file of weights alone, without a network. Load them into the network in Python and export it: " + EXPORT;
const KERAS = 'a Keras file. Load it in Python and export the network: model.export("net.onnx", format="onnx")';
const TENSORFLOW = "a TensorFlow file. Convert it: python -m tf2onnx.convert";
const NETWORK = `A model is a network as an ONNX file; from PyTorch: ${EXPORT}`;
const IMAGE =
  "an image, not a network. Images to measure on go to More options: Input samples, images. " + NETWORK;
const ARCHIVE = `a zip archive. Unpack it and drop what is in it. ${NETWORK}`;
const TEXT = `a text file, not a network. ${NETWORK}`;
const PDF = `a PDF document, not a network. ${NETWORK}`;

const BY_ENDING = {
  pt: TORCH,
  pth: TORCH,
  ckpt: TORCH,
  bin: TORCH,
  safetensors: WEIGHTS,
  h5: KERAS,
  hdf5: KERAS,
  keras: KERAS,
  pb: `${TENSORFLOW} --graphdef FILE --output net.onnx --inputs NAME:0 --outputs NAME:0`,
  tflite: `${TENSORFLOW} --tflite FILE --output net.onnx`,
  ...Object.fromEntries(["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "svg"].map((one) => [one, IMAGE])),
  zip: ARCHIVE,
  npy: `an array, not a network. ${NETWORK}`,
  npz: `an archive of arrays, not a network. ${NETWORK}`,
  pdf: PDF,
  py: `a Python program. Run it, and export its network there: ${EXPORT}`,
  ...Object.fromEntries(["txt", "md", "csv", "log", "yaml", "yml"].map((one) => [one, TEXT])),
  ipynb: `a notebook. Run it, and export its network there: ${EXPORT}`,
};
// First bytes of files whose names end otherwise.
const BY_START = [
  ["PK\x03\x04", TORCH], // zip, as torch.save writes it
  ["\x89PNG", IMAGE],
  ["\xff\xd8\xff", IMAGE],
  ["GIF8", IMAGE],
  ["%PDF", PDF],
  ["\x89HDF", KERAS],
];
const IMAGES = /\.(png|jpe?g|webp|zip|npy)$/i;
const ending = (name) => name.slice(name.lastIndexOf(".") + 1).toLowerCase();
const total = (files) => files.reduce((sum, { size }) => sum + size, 0);

// Throws a Problem where the service would refuse `model` or the files beside it.
export async function requireModel(model, data = []) {
  const other = BY_ENDING[ending(model.name)] ?? (await byStart(model));
  if (other) refuse("This is not an ONNX file", `${model.name} is ${other}. Then drop the .onnx file here.`);
  if (!model.size) refuse("The file is empty", `${model.name} has no bytes. Export the network again.`);
  const { max_model_bytes: most, max_data_bytes: mostBeside } = await limits();
  requireSize(`${model.name} has`, model.size, most);
  requireSize("The files with its weights have", total(data), mostBeside);
}

// The same for an image file or an archive of images.
export async function requireImages(file) {
  if (!IMAGES.test(file.name))
    refuse("This is not an image file", `${file.name} is not a PNG, JPEG or WebP, nor a .zip of them, nor an .npy.`);
  requireSize(`${file.name} has`, file.size, (await limits()).max_file_bytes);
}

function requireSize(subject, size, most) {
  if (size > most)
    refuse("The file is too large", `${subject} ${mebibytes(size)}; this service takes ${mebibytes(most)} at most.`);
}

function refuse(title, detail) {
  throw new Problem({ title, detail });
}

async function byStart(file) {
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 4).arrayBuffer()));
  return BY_START.find(([bytes]) => start.startsWith(bytes))?.[1];
}
