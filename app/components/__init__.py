"""What the browser decides by itself: Streamlit components, each a Python file and a script and a style sheet of its name.

    spots     places on a chart as buttons for the keyboard, and the frame around the chosen one
    player    the signal walks through the network: its controls, and the stage on which the equation's pictures change
    film      the pictures that the player shows, sent once
    links     pointing at a place of one map marks it in all others and in the photo
    overview  the whole network in small above a block map that has to scroll

Scripts come from this server alone, with the page; nothing is fetched from elsewhere.
"""
