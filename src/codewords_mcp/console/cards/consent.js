// A card's button is never a person's yes: the question is answered where its address leads.

/** @param {string} _id @param {unknown} error @returns {Promise<void>} */
export const agree = (_id, error) => Promise.reject(error);
