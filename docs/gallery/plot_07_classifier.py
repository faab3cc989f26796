"""
A classifier in scikit-learn's protocol
=======================================

Pipelines, searches and scores work as with any other estimator; sequences may have any lengths.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, train_test_split

from fastlstm.estimators import LSTMClassifier

rng = np.random.default_rng(0)
X = [rng.standard_normal((length, 3)) for length in rng.integers(5, 20, size=200)]
y = ["up" if sequence[:, 0].sum() > 0 else "down" for sequence in X]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

search = GridSearchCV(LSTMClassifier(random_state=0, epochs=20), {"hidden_size": [16, 32]}, cv=3)
search.fit(X_train, y_train)
print(search.best_params_, f"{search.score(X_test, y_test):.0%} of the held-out sequences")

# %%
# What it gives "up", by what decides:

_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
up = search.predict_proba(X_test)[:, list(search.classes_).index("up")]
ax.scatter([sequence[:, 0].sum() for sequence in X_test], up)
ax.axvline(0, color="0.7")
_ = ax.set(xlabel="sum of the first variable", ylabel="probability of up")
