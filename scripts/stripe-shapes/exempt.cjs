// What the mock refuses although it is right in the version of the API that is spoken, and why.
// An entry that is not needed any more fails the check.
module.exports = {
  retrieve_thin_event: 'the mock knows only /v1',
};
