// Task B1 of the sample orchestra_fan_out_v1, as an AWS Lambda function on Node.js: classifies each line.

// Chapters of the Harmonized System: 64 is footwear, 85 electrical machinery. What is not listed goes to 99.
const CHAPTERS = { electronics: 85, footwear: 64, shoes: 64, shirts: 61 };

/** Returns `classified`: the `prepared` lines of the call's context, each with its `chapter`. */
export async function handler(event) {
  const lines = event.context.prepared ?? [];
  return { classified: lines.map((line) => ({ ...line, chapter: CHAPTERS[line.goods] ?? 99 })) };
}
