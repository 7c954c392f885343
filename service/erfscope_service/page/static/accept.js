// Which files can be measured: their kind and size, told before anything is sent.

import { Problem, limits } from "/page/api.js";
import { mebibytes } from "/page/format.js";

const TORCH = 'a PyTorch file. Export the network: torch.onnx.export(model, (image,), "net.onnx")';
const KERAS = "a Keras file. Export the network with tf2onnx or model.export(format='onnx')";
const OTHERS = {
  pt: TORCH,
  pth: TORCH,
  ckpt: TORCH,
  bin: TORCH,
  safetensors: "a file of weights alone, without a network. Export the network with them to ONNX",
  h5: KERAS,
  keras: KERAS,
  pb: "a TensorFlow file. Convert it with tf2onnx",
  tflite: "a TensorFlow Lite file. Convert it with tf2onnx",
};
const IMAGES = /\.(png|jpe?g|webp|zip|npy)$/i;
const ARCHIVE = [0x50, 0x4b, 0x03, 0x04]; // PK.., with which zip files begin, and files that torch.save writes

const ending = (name) => name.slice(name.lastIndexOf(".") + 1).toLowerCase();
const total = (files) => files.reduce((sum, { size }) => sum + size, 0);

// Throws a Problem where the service would refuse `model` or the files beside it.
export async function requireModel(model, data = []) {
  const other = OTHERS[ending(model.name)] ?? ((await isArchive(model)) ? TORCH : null);
  if (other) refuse("This is not an ONNX file", `${model.name} is ${other}, and drop the .onnx file here.`);
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

async function isArchive(file) {
  const start = new Uint8Array(await file.slice(0, ARCHIVE.length).arrayBuffer());
  return start.length === ARCHIVE.length && ARCHIVE.every((byte, i) => start[i] === byte);
}
