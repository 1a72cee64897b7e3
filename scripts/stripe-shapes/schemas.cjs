// Makes a JSON Schema of each type of the official SDK that a method's parameters have, once per
// version of the SDK, into a folder of its own.
//
//   node schemas.cjs FOLDER
//
// The folder lies under .tools, from where the import of the SDK is found.
const fs = require('fs');
const path = require('path');

const types = require('./types.cjs');

const modules = path.join(__dirname, '..', '..', '.tools', 'stripe-shapes', 'node_modules');

// What the types cannot say and Stripe's specification does.
const LONGEST = { 'Billing.MeterEventCreateParams': { identifier: 100, event_name: 100 } };

function limit(schema, longest) {
  for (const definition of Object.values(schema.definitions ?? {})) {
    for (const [name, maxLength] of Object.entries(longest)) {
      if (definition.properties?.[name]) definition.properties[name].maxLength = maxLength;
    }
  }
}

function main(folder) {
  const names = [...new Set(Object.values(types))];
  const missing = names.filter((name) => !fs.existsSync(path.join(folder, `${name}.json`)));
  if (missing.length === 0) return;
  const generator = require(path.join(modules, 'ts-json-schema-generator'));
  fs.mkdirSync(folder, { recursive: true });
  // The names of the aliases differ from all names of the SDK, else they would stand for themselves.
  const alias = (name) => `Gate${name.replaceAll('.', '')}`;
  const source = path.join(folder, 'types.ts');
  fs.writeFileSync(
    source,
    ["import Stripe from 'stripe';"]
      .concat(names.map((name) => `export type ${alias(name)} = Stripe.${name};`))
      .join('\n'),
  );
  const config = { path: source, skipTypeCheck: true, expose: 'export', type: undefined };
  const made = generator.createGenerator({ ...generator.DEFAULT_CONFIG, ...config });
  for (const name of missing) {
    const schema = made.createSchema(alias(name));
    if (LONGEST[name]) limit(schema, LONGEST[name]);
    fs.writeFileSync(path.join(folder, `${name}.json`), JSON.stringify(schema));
    console.error(`schemas: made ${name}`);
  }
}

main(process.argv[2]);
