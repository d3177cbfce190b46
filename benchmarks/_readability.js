// Mozilla's Readability, as a peer: reads pages as lines of JSON, and writes the HTML that it finds.
const { Readability } = require("@mozilla/readability");
const { parseHTML } = require("linkedom");

require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const page = JSON.parse(line);
  let found = "";
  try {
    found = new Readability(parseHTML(page.html).document).parse()?.content ?? "";
  } catch (error) {
    console.error(`Readability: ${error.name}`);
  }
  console.log(JSON.stringify({ "Mozilla's Readability": ["html", found] }));
});
